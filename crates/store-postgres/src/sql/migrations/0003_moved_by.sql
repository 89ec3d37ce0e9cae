-- Which process moved the head, and to which number: after a commit whose answer was lost, a process
-- must not take another's transaction for its own. Missing until it is moved; one that is moved by
-- a program that does not know the column keeps an older number in it, and so is nobody's.
ALTER TABLE store_head ADD COLUMN moved_by text COLLATE "C";

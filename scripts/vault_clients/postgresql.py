"""A PostgreSQL server of its own, private to one run of the tests."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

SUPERUSER, PASSWORD = "super", "super-secret-of-the-tests"


def program(name):
    """Debian keeps it away from the path."""
    for found in [shutil.which(name), *sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]:
        if found:
            return str(found)
    raise FileNotFoundError(name)


def is_there():
    try:
        return bool(program("initdb") and program("postgres") and program("psql"))
    except FileNotFoundError:
        return False


def unprivileged():
    """It refuses to be root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class Postgresql:
    """Started with `with`; ends with it."""

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="vault-clients-postgresql")
        home = pathlib.Path(self.home.name)
        (home / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
            shutil.chown(home / "password", "postgres")
        data = home / "data"
        subprocess.run(
            [*unprivileged(), program("initdb"), "-D", data, "-U", SUPERUSER, "--auth=scram-sha-256", "-E", "UTF8"]
            + ["--locale=C", "--no-sync", f"--pwfile={home / 'password'}"],
            cwd=home,
            check=True,
            capture_output=True,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(home / "log", "w")
        self.process = subprocess.Popen(
            [*unprivileged(), program("postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(self.port)]
            + ["-c", "unix_socket_directories=", "-c", "fsync=off"],
            cwd=home,
            stdout=self.log,
            stderr=self.log,
        )
        end = time.monotonic() + 60
        while not self.may(SUPERUSER, PASSWORD):
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError("PostgreSQL did not start: " + (home / "log").read_text())
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        # At once: nobody needs what is in it.
        self.process.send_signal(3)
        self.process.wait(60)
        self.log.close()
        self.home.cleanup()

    def ask(self, user, password, sql):
        words = [program("psql"), "-X", "-w", "-At", "-h", "127.0.0.1", "-p", str(self.port), "-U", user]
        env = {"PATH": os.environ["PATH"], "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"}
        return subprocess.run([*words, "-d", "postgres", "-c", sql], env=env, capture_output=True, text=True)

    def sql(self, sql):
        done = self.ask(SUPERUSER, PASSWORD, sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def may(self, user, password, sql="SELECT 1"):
        return self.ask(user, password, sql).returncode == 0

/** Server-sent events, taken apart as they arrive. */

import { InvalidResponseError } from "./errors.js";

/** What one blank line ended. */
export interface Frame {
  event: string;
  data: string;
  retryMs: number | undefined;
}

/** More than any event: what is longer is no stream of this server. */
const FRAME_MAX = 1_048_576;

/** Frames out of pieces of text, wherever those were cut. */
export class Frames {
  readonly #decoder = new TextDecoder();
  #rest = "";
  #lines: string[] = [];
  #size = 0;

  /** The frames that this piece completes. */
  take(piece: Uint8Array): Frame[] {
    const text = this.#rest + this.#decoder.decode(piece, { stream: true });
    // A carriage return at the end may be half of a line's end.
    const cut = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, cut).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + text.slice(cut);
    const frames: Frame[] = [];
    for (const line of lines) {
      if (line !== "") {
        this.#lines.push(line);
        this.#size += line.length;
      } else if (this.#lines.length > 0) {
        frames.push(frameOf(this.#lines));
        this.#lines = [];
        this.#size = 0;
      }
    }
    if (this.#size + this.#rest.length > FRAME_MAX) {
      const message = `an event of the stream is longer than ${FRAME_MAX} characters`;
      throw new InvalidResponseError({ code: "invalid_response", message });
    }
    return frames;
  }
}

function frameOf(lines: readonly string[]): Frame {
  let event = "";
  let retryMs: number | undefined;
  const data: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
    else if (name === "retry" && /^\d{1,6}$/.test(value)) retryMs = Number(value);
  }
  return { event, data: data.join("\n"), retryMs };
}

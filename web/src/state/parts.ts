/**
 * The parts of an answer besides its reasoning: texts, files and sources. All of it is untrusted: it
 * was written by a model or a provider.
 *
 * 1. Only raster pictures that are in the message itself are shown; nothing is fetched by itself.
 * 2. Every other file is a link to save it or, where it lies on another host, to open it there.
 * 3. Only http and https addresses are links. Their host is always shown.
 */
import type { Message } from "./model";

export interface ShownFile {
  /** How it can be shown; `name`: only by its name. */
  as: "picture" | "download" | "link" | "name";
  url: string;
  name: string;
  type: string;
  /** For a link: its target. */
  host: string;
}

export type Piece = { text: string } | { file: ShownFile };

export interface Source {
  url: string;
  title: string;
  host: string;
}

/** Characters of a `data:` URL: 256 KiB, base64, and its head. */
const LONGEST_PICTURE = 360_000;
const PICTURE = /^data:image\/(?:png|jpe?g|gif|webp|avif);base64,[a-z0-9+/]+={0,2}$/i;

/** Direction marks, control characters and invisible characters. */
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const LONGEST_NAME = 120;

/** Texts and files in order; neighbouring texts are joined. */
export function piecesOf(message: Message): Piece[] {
  const pieces: Piece[] = [];
  for (const part of message.parts) {
    const last = pieces.at(-1);
    if (part.type === "file") pieces.push({ file: fileOf(part) });
    else if (part.type !== "text" || part.text === "") continue;
    else if (last && "text" in last) last.text += part.text;
    else pieces.push({ text: part.text });
  }
  return pieces;
}

/** The pages that the answer refers to, each once. */
export function sourcesOf(message: Message): Source[] {
  const sources = new Map<string, Source>();
  for (const part of message.parts) {
    if (part.type !== "source-url") continue;
    const url = readUrl(part.url);
    if (url === null || sources.has(url.href)) continue;
    const host = url.host.replace(/^www\./, "");
    sources.set(url.href, { url: url.href, title: plain(part.title ?? "") || host, host });
  }
  return [...sources.values()];
}

function fileOf(part: { url: string; mediaType: string; filename?: string }): ShownFile {
  const type = plain(part.mediaType);
  const ending = /^[\w-]+\/([\w-]+)/.exec(type)?.[1];
  const name = plain(part.filename ?? "").replaceAll(/[/\\]/g, "_") || `file.${ending ?? "bin"}`;
  const file = { url: part.url, name, type, host: "" };
  if (part.url.length <= LONGEST_PICTURE && PICTURE.test(part.url)) return { ...file, as: "picture" };
  if (/^data:/i.test(part.url)) return { ...file, as: "download" };
  const url = readUrl(part.url);
  if (url === null) return { ...file, as: "name", url: "" };
  const last = part.filename ? "" : plain(url.pathname.slice(url.pathname.lastIndexOf("/") + 1));
  return { ...file, as: "link", url: url.href, host: url.host, name: last || name };
}

function readUrl(address: string): URL | null {
  if (!URL.canParse(address)) return null;
  const url = new URL(address);
  return url.protocol === "http:" || url.protocol === "https:" ? url : null;
}

function plain(text: string): string {
  return text.replace(HIDDEN, "").trim().slice(0, LONGEST_NAME);
}

import { describe, expect, it } from "vitest";
import type { Message } from "./model";
import { piecesOf, sourcesOf } from "./parts";

const PNG = "data:image/png;base64,iVBORw0KGgo=";

const answer = (...parts: Message["parts"]): Message => ({ id: "a1", role: "assistant", parts });
const file = (mediaType: string, url: string, filename?: string): Message["parts"][number] =>
  filename === undefined ? { type: "file", mediaType, url } : { type: "file", mediaType, url, filename };
const shown = (mediaType: string, url: string, filename?: string) => {
  const [piece] = piecesOf(answer(file(mediaType, url, filename)));
  if (!piece || !("file" in piece)) throw new Error("no file");
  return piece.file;
};

describe("the parts of an answer", () => {
  it("are texts and files in their order, neighbouring texts joined", () => {
    const pieces = piecesOf(
      answer(
        { type: "step-start" },
        { type: "text", text: "" },
        { type: "reasoning", id: "r", text: "Hm" },
        { type: "text", text: "One " },
        { type: "source-url", sourceId: "s1", url: "https://example.org/" },
        { type: "text", text: "two" },
        file("image/png", PNG),
        { type: "text", text: "three" },
      ),
    );
    expect(pieces.map((piece) => ("text" in piece ? piece.text : piece.file.as))).toEqual([
      "One two",
      "picture",
      "three",
    ]);
  });
});

describe("a file", () => {
  it("is shown as a picture only if it is a small raster image inline", () => {
    for (const type of ["png", "jpeg", "jpg", "gif", "webp", "avif"]) {
      expect(shown(`image/${type}`, `data:image/${type};base64,AAAA`).as).toBe("picture");
    }
    const head = "data:image/png;base64,";
    const sized = (size: number) => shown("image/png", head + "A".repeat(size - head.length)).as;
    expect([sized(360_000), sized(360_001)]).toEqual(["picture", "download"]);
    expect(shown("image/png", "https://example.org/a.png")).toMatchObject({ as: "link", host: "example.org" });
  });

  it("of any other type is never shown in the page", () => {
    const svg = "data:image/svg+xml;base64,PHN2Zy8+";
    expect(shown("image/svg+xml", svg)).toMatchObject({ as: "download", name: "file.svg", host: "" });
    expect(shown("image/png", svg).as).toBe("download"); // the type in the address counts
    expect(shown("text/html", "data:text/html,<script>alert(1)</script>").as).toBe("download");
    expect(shown("image/png", "data:image/png;base64,AAAA\"><script>").as).toBe("download");
  });

  it("with an invalid or executable address is only a name", () => {
    for (const url of ["javascript:alert(1)", "blob:http://x/1", "file:///etc/passwd", "about:data:x", `about:${PNG}`, "//x", ""]) {
      expect(shown("application/pdf", url)).toMatchObject({ as: "name", url: "" });
    }
  });

  it("has a name without folders and direction marks", () => {
    expect(shown("text/csv", "data:text/csv,a", "../../etc/pass\u202Ewd\n.csv").name).toBe(".._.._etc_passwd.csv");
    for (const type of ["x", "a b/c"]) expect(shown(type, "data:x,a").name).toBe("file.bin");
    expect(shown("x", "data:x,a", "n".repeat(200)).name).toHaveLength(120);
    expect(shown("application/pdf", "https://example.org/a/report.pdf?x").name).toBe("report.pdf");
    expect(shown("application/pdf", "https://example.org/").name).toBe("file.pdf");
    expect(shown("application/pdf", "https://example.org/a.pdf", "b.pdf").name).toBe("b.pdf");
  });
});

describe("sources", () => {
  const source = (url: string, title?: string): Message["parts"][number] =>
    title === undefined
      ? { type: "source-url", sourceId: url, url }
      : { type: "source-url", sourceId: url, url, title };

  it("are listed once each, with their hosts", () => {
    const sources = sourcesOf(
      answer(source("https://www.example.org/a", "A"), source("https://www.example.org/a"), source("http://b.test:81/")),
    );
    expect(sources).toEqual([
      { url: "https://www.example.org/a", title: "A", host: "example.org" },
      { url: "http://b.test:81/", title: "b.test:81", host: "b.test:81" },
    ]);
  });

  it("have only http and https links", () => {
    expect(sourcesOf(answer(file("text/html", "https://example.org/")))).toEqual([]);
    expect(sourcesOf(answer(source("https://a.www.test/")))[0]?.host).toBe("a.www.test");
    const bad = ["javascript:alert(1)", "data:text/html,x", "ftp://x/", "/c/1", "mailto:a@b.c"];
    expect(sourcesOf(answer(...bad.map((url) => source(url, "Click"))))).toEqual([]);
  });

  it("have titles without invisible characters and direction marks", () => {
    const [one] = sourcesOf(answer(source("https://example.org/", "\u202Emoc.elgoog\u200B ")));
    expect(one?.title).toBe("moc.elgoog");
  });
});

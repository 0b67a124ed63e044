// @vitest-environment jsdom
import { renderToStaticMarkup } from "react-dom/server";
import { beforeAll, describe, expect, it } from "vitest";
import { Blocks } from "./block-view";
import { hostile } from "./hostile";
import { currentMath, loadMath, type MathPlugins } from "./math";

let math: MathPlugins | null = null;
beforeAll(async () => {
  await loadMath();
  math = currentMath();
});

function render(text: string, growing = false): HTMLElement {
  const root = document.createElement("div");
  root.innerHTML = renderToStaticMarkup(<Blocks text={text} growing={growing} math={math} />);
  return root;
}

const forbidden =
  "script,style,link,meta,base,iframe,object,embed,form,video,audio,source,template,use,select," +
  "textarea,svg:not(.lucide):not(.katex svg),input:not([type=checkbox][disabled]),x-custom," +
  "button:not(.md-copy),[srcset],[srcdoc],[action],[formaction],[name],[ping],[background]";

const address = /^(?:https?:\/\/|mailto:|#user-content-)/;
const ids = /^user-content-fn/;

/** The dangerous or loading parts, as sentences; empty if safe. */
function dangers(root: HTMLElement): string[] {
  const found = [...root.querySelectorAll(forbidden)].map((element) => element.outerHTML);
  for (const element of root.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) found.push(`handler ${name}`);
      if (name === "id" && !ids.test(value)) found.push(`id ${value}`);
      const ours = element.closest(".katex, .katex-error") && !/url\(|fixed/.test(value);
      if (name === "style" && !ours) found.push(`style ${value}`);
      if (/^(?:xlink:)?href$/.test(name) && !address.test(value)) found.push(`address ${value}`);
      if (name === "src" && !/^data:image\/(?:png|jpe?g|gif|webp|avif);base64,/.test(value)) {
        found.push(`loads ${value}`);
      }
    }
  }
  for (const link of root.querySelectorAll<HTMLAnchorElement>("a:not([href^='#'])")) {
    if (link.target !== "_blank") found.push(`opens here: ${link.outerHTML}`);
    if (link.rel !== "noopener noreferrer nofollow") found.push(`rel ${link.rel}`);
    if (link.title !== link.getAttribute("href")) found.push(`title ${link.title}`);
  }
  return found;
}

describe("hostile markdown", () => {
  it.each(hostile)("%j is harmless, as is every prefix of it", (text) => {
    expect(dangers(render(text))).toEqual([]);
    for (let end = 1; end <= text.length; end++) {
      const prefix = text.slice(0, end);
      expect(dangers(render(prefix, true)), JSON.stringify(prefix)).toEqual([]);
      expect(dangers(render(prefix)), JSON.stringify(prefix)).toEqual([]);
    }
  });

  it("is harmless inside of lists, quotes, tables and emphasis, too", () => {
    for (const text of hostile) {
      const line = text.replace(/\s*\n\s*/g, " ");
      const table = `|a|\n|-|\n|${line}|`;
      for (const around of [`- ${line}`, `> ${line}`, table, `**${line}**`, `# ${line}`]) {
        expect(dangers(render(around)), JSON.stringify(around)).toEqual([]);
      }
    }
  });

  it("is detected by this test's own check", () => {
    const recognised = hostile.filter((html) => {
      const inert = new DOMParser().parseFromString(html, "text/html");
      return dangers(inert.documentElement).length > 0;
    });
    expect(recognised.length).toBeGreaterThan(20);
  });
});

describe("links and images", () => {
  it("are never fetched: a remote image is a link that shows its target", () => {
    const root = render("![A map](https://img.example/a.png)");
    expect(root.querySelector("img")).toBeNull();
    const link = root.querySelector("a");
    expect(link?.textContent).toBe("Image from img.example: A map — open");
    expect(link?.getAttribute("href")).toBe("https://img.example/a.png");
  });

  it("show a small inline picture, but no other type", () => {
    const png = "data:image/png;base64,iVBORw0KGgo=";
    expect(render(`![dot](${png})`).querySelector("img")?.getAttribute("src")).toBe(png);
    const svg = render("![dot](data:image/svg+xml;base64,PHN2Zz4=)");
    expect(svg.querySelector("img")).toBeNull();
    expect(svg.textContent).toBe("dot");
    const huge = `data:image/png;base64,${"A".repeat(1_000_001)}`;
    expect(render(`![dot](${huge})`).querySelector("img")).toBeNull();
  });

  it.each([
    ["[https://bank.example/login](https://evil.example/)", "evil.example"],
    ["[bank.example](https://evil.example/)", "evil.example"],
    ["[see www.bank.example now](https://evil.example/)", "evil.example"],
    ["[bank.exa\u200bmple](https://evil.example/)", "evil.example"],
    ["[a](https://bank.example@evil.example/)", "evil.example"],
    ["[apple.com](https://xn--80ak6aa92e.com/)", "xn--80ak6aa92e.com"],
  ])("%j shows the real host", (text, host) => {
    expect(render(text).querySelector(".md-host")?.textContent).toBe(` (${host})`);
  });

  it.each([
    "[bank.example](https://www.bank.example/x)",
    "[https://a.example/b](https://a.example/c)",
    "<https://a.example/>",
    "[the docs](https://a.example/)",
    "[version 3.11](https://a.example/)",
  ])("%j needs no host", (text) => {
    expect(render(text).querySelector("a")).not.toBeNull();
    expect(render(text).querySelector(".md-host")).toBeNull();
  });

  it("have no direction marks", () => {
    const root = render("[a\u202eb](https://a.example/\u202ec) <https://a.example/\u2066d>");
    expect(root.textContent).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
    for (const link of root.querySelectorAll("a")) expect(link.title).toMatch(/^[ -~]+$/);
  });
});

describe("raw HTML", () => {
  it("is converted between words, dropped if layout, else shown as text", () => {
    const root = render("H<sub>2</sub>O<br>x <span class=y>z</span> <custom>w</custom><!-- no -->");
    expect(root.querySelector("sub")?.textContent).toBe("2");
    expect(root.querySelector("br")).not.toBeNull();
    expect(root.textContent?.replace(/\s+/g, " ")).toBe("H2O x z <custom>w</custom>");
  });
});

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as contract from "./index.js";
import manifest from "./package.json";

const here = import.meta.dirname;
const sources = readdirSync(here).filter((name) => /(?<!\.test)\.ts$/.test(name));

describe("the package", () => {
  it("exports few names", () => {
    expect(Object.keys(contract).sort()).toEqual([
      "ResumableChatTransport",
      "TransportError",
      "hostEnvironment",
      "refusal",
      "systemClock",
    ]);
  });

  it("needs nothing at run time", () => {
    expect(manifest).not.toHaveProperty("dependencies");
    expect(manifest.peerDependencies).toEqual({ ai: ">=7.0.138" });
    expect(sources.length).toBeGreaterThan(10);
    for (const name of sources) {
      const text = readFileSync(join(here, name), "utf8");
      const imports = [...text.matchAll(/^(?:import|export) .*?from "(.*)";$/gms)];
      for (const [statement, from] of imports) {
        const isType = /^(import|export) type /.test(statement);
        expect(from?.startsWith("./") || isType, `${name}: ${statement}`).toBe(true);
      }
    }
  });

  it("has a README that names every option", () => {
    const readme = readFileSync(join(here, "README.md"), "utf8");
    const files = ["transport.ts", "endpoint.ts"].map((name) => join(here, name));
    const text = files.map((file) => readFileSync(file, "utf8")).join();
    const options = [...text.matchAll(/interface \w+Options .*?^}/gms)]
      .flatMap(([body]) => [...body.matchAll(/readonly (\w+)\?:/g)])
      .map(([, name]) => name);
    expect(options).toHaveLength(12);
    for (const name of options) expect(readme).toContain(`\`${name}\``);
  });
});

import type { Plugin } from "vite";

interface Cut {
  /** What stands in the module, exactly once. */
  readonly from: string;
  readonly to: string;
}

/**
 * What holds Zod in the bundle.
 *
 * The SDK's chat makes a transport of its own where it is given none; ours always is. And a schema
 * made by Zod has a way of its own to be checked, beside the Standard Schema interface that every
 * such schema has too.
 */
const CUTS: Record<string, Cut> = {
  "ai/dist/index.js": {
    from: "transport = new DefaultChatTransport(),",
    to: "transport,",
  },
  "@ai-sdk/provider-utils/dist/index.js": {
    from: 'schema["~standard"].vendor === "zod" ? zodSchema(schema) : standardSchema(schema)',
    to: "standardSchema(schema)",
  },
};

/**
 * What is made when the module is loaded, by calls that do nothing but make it. Nobody tells the
 * bundler so: it is told, for the whole of each at once, the calls among the arguments too.
 */
const MADE_AT_ONCE =
  /^((?:const|let|var) [\w$]+ = )((?:z(?:\$\d+)?\.\w+|lazySchema|withJsonValueCheck)\([\s\S]*?);\n(?=[\w/])/gm;

/**
 * Leaves out what the interface does not use of the AI SDK, so that the first load stays small:
 * Zod above all, which is a sixth of it.
 *
 * A new version of the SDK in which the places are not found fails the build.
 */
export function leanSdk(): Plugin {
  return {
    name: "lean-sdk",
    apply: "build",
    transform: {
      filter: { id: /node_modules\/(?:ai|@ai-sdk\/provider-utils)\/dist\/index\.js$/ },
      handler(code, id) {
        const name = Object.keys(CUTS).find((ending) => id.endsWith(`node_modules/${ending}`));
        const cut = name && CUTS[name];
        if (!cut) return null;
        if (code.split(cut.from).length !== 2) {
          this.error(`${name} has changed: adapt build/lean-sdk.ts. It does not have "${cut.from}" once.`);
        }
        const lean = code.replace(cut.from, cut.to).replace(MADE_AT_ONCE, "$1/* @__PURE__ */ $$made(() => $2);\n");
        return { code: `${lean}\nfunction $made(make) { return make(); }\n`, map: null };
      },
    },
  };
}

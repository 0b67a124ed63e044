import path from "node:path";
import { defineConfig } from "vitest/config";
import { warmThreads } from "./warm-threads.js";

const room = process.env.MUTANTS_ROOM;

export default defineConfig({
  plugins: [warmThreads],
  resolve: { alias: { "@": path.resolve(import.meta.dirname, "src") } },
  test: {
    include: [`src/${room}/**/*.test.ts`],
    exclude: ["**/cuts.test.ts"], // a random search: a directed test must catch what it finds
    setupFiles: ["./fresh-page.js"],
    environment: "node",
  },
});

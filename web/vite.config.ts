import path from "node:path";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { leanSdk } from "./build/lean-sdk.ts";
import { precompress } from "./build/precompress.ts";
import { woff2Only } from "./build/woff2-only.ts";

const src = path.resolve(import.meta.dirname, "src");
const server = process.env.DLS_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  base: "./", // below what <base> says
  plugins: [react(), tailwindcss(), leanSdk(), woff2Only(), precompress()],
  resolve: { alias: { "@": src } },
  build: {
    target: "es2023",
    outDir: process.env.DLS_WEB_OUT ?? "dist",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: fonts
    // Whose code is in the bundle, and under which terms.
    license: { fileName: "licenses.txt" },
  },
  server: { proxy: { "/api": server, "/healthz": server, "/readyz": server } },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node", testTimeout: 30_000 },
});

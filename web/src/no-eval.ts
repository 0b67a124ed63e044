/**
 * The first import of the page. zod, which the AI SDK brings, tries whether it may compile code; the
 * Content-Security-Policy refuses that, and every refusal is reported. Told so, zod does not try.
 */
(globalThis as { __zod_globalConfig?: { jitless: boolean } }).__zod_globalConfig = { jitless: true };

/**
 * The first import of the page. zod, a dependency of the AI SDK, tries to compile code. The
 * Content-Security-Policy refuses and reports that; this setting stops zod from trying.
 */
(globalThis as { __zod_globalConfig?: { jitless: boolean } }).__zod_globalConfig = { jitless: true };

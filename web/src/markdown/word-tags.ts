const names = "b del em i ins kbd mark s strong sub sup u";

/** HTML that is read between words for what it means. */
export const wordTags: ReadonlySet<string> = new Set(names.split(" "));

import { createContext } from "react";

/** Called after a code block was copied, so that the page can announce it. */
export const CopiedContext = createContext<(() => void) | undefined>(undefined);

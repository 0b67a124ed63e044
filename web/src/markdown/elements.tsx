import type { Element, ElementContent } from "hast";
import type { ComponentProps } from "react";
import type { BlockProps } from "streamdown";
import { CodeBlock } from "./code-block";

interface FromTree {
  node?: Element | undefined;
}

/** The elements that are more than a tag; the style sheet does the rest. */
export const elements: NonNullable<BlockProps["components"]> = {
  pre({ node, children }: ComponentProps<"pre"> & FromTree) {
    const code = node?.children.find((child) => child.type === "element");
    if (code?.tagName !== "code") return <pre>{children}</pre>;
    return <CodeBlock code={textOf(code).replace(/\n$/, "")} language={languageOf(code)} />;
  },
  table({ node: _, ...props }: ComponentProps<"table"> & FromTree) {
    return (
      <TableFrame>
        <table {...props} />
      </TableFrame>
    );
  },
};

export function TableFrame({ children }: ComponentProps<"div">) {
  return (
    <div className="md-table" tabIndex={0} role="group" aria-label="Table">
      {children}
    </div>
  );
}

function languageOf(code: Element): string {
  const { className } = code.properties;
  const names = Array.isArray(className) ? className.map(String) : [];
  return names.find((name) => name.startsWith("language-"))?.slice("language-".length) ?? "";
}

function textOf(node: ElementContent): string {
  if (node.type === "text") return node.value;
  return node.type === "element" ? node.children.map(textOf).join("") : "";
}

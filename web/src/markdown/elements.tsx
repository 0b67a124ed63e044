import type { Element, ElementContent } from "hast";
import type { ComponentProps } from "react";
import type { BlockProps } from "streamdown";
import { CodeBlock } from "./code-block";

interface FromTree {
  node?: Element | undefined;
}

/** The elements that need a component; the style sheet does the rest. */
export const elements: NonNullable<BlockProps["components"]> = {
  pre({ node, children }: ComponentProps<"pre"> & FromTree) {
    const code = node?.children.find((child) => child.type === "element");
    if (code?.tagName !== "code") return <pre>{children}</pre>;
    return <CodeBlock code={textOf(code).replace(/\n$/, "")} language={languageOf(code)} />;
  },
  input({ node: _, checked, disabled }: ComponentProps<"input"> & FromTree) {
    const label = checked ? "Done" : "Not done";
    return (
      <input type="checkbox" checked={checked} disabled={disabled} readOnly aria-label={label} />
    );
  },
  table({ node: _, ...props }: ComponentProps<"table"> & FromTree) {
    return (
      <TableFrame>
        <table {...props} />
      </TableFrame>
    );
  },
};

/** With footnotes whose ids end in `suffix`: two answers in one page may both have a note 1. */
export function footnoteElements(suffix: string): typeof elements {
  return {
    ...elements,
    a({ node: _, id, href, ...props }: ComponentProps<"a"> & FromTree) {
      const target = href?.startsWith("#") ? href + suffix : href;
      return <a href={target} id={id && id + suffix} {...props} />;
    },
    li({ node: _, id, ...props }: ComponentProps<"li"> & FromTree) {
      return <li id={id && id + suffix} {...props} />;
    },
  };
}

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

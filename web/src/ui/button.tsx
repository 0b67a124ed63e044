import clsx from "clsx";
import type { ComponentProps } from "react";

const VARIANTS = {
  solid: "bg-primary text-primary-foreground hover:opacity-90",
  outline: "border border-border bg-card hover:bg-accent",
  ghost: "text-muted-foreground hover:bg-accent hover:text-foreground",
  danger: "text-destructive hover:bg-destructive/10",
} as const;

const SIZES = {
  sm: "h-8 px-3 text-[13px] max-md:h-10",
  md: "h-9 px-4 text-sm",
  icon: "size-9 shrink-0 max-md:size-10",
  "icon-sm": "size-8 shrink-0 max-md:size-10",
} as const;

export interface ButtonProps extends ComponentProps<"button"> {
  variant?: keyof typeof VARIANTS;
  size?: keyof typeof SIZES;
  round?: boolean;
}

export function Button(props: ButtonProps) {
  const { variant = "ghost", size = "md", round = false, className, ...rest } = props;
  return (
    <button
      type="button"
      {...rest}
      className={clsx(
        "inline-flex items-center justify-center gap-2 font-medium whitespace-nowrap",
        "transition-[background-color,color,opacity] duration-150 outline-none select-none",
        "focus-visible:ring-2 focus-visible:ring-ring focus-visible:ring-offset-1 focus-visible:ring-offset-background",
        "disabled:pointer-events-none disabled:opacity-40 aria-disabled:opacity-40",
        "[&_svg]:size-4 [&_svg]:shrink-0",
        round ? "rounded-full" : "rounded-md",
        VARIANTS[variant],
        SIZES[size],
        className,
      )}
    />
  );
}

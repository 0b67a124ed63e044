import { CloudOff, Cookie, HardDrive, RefreshCw, WifiOff } from "lucide-react";
import { type ReactNode, useEffect } from "react";
import { announce, page } from "@/state/notices";
import { storageTrouble } from "@/state/storage";
import { words } from "@/words";
import { useAll } from "./hooks";

/** The most urgent message about the whole page; nothing if there is none. */
export function Banner() {
  const { offline, feed, expired, cookieless, stale } = useAll(page);
  const trouble = useAll(storageTrouble);
  if (expired) return <Line kind="expired" icon={<CloudOff aria-hidden />} text={words.expired} reload />;
  if (cookieless) return <Line kind="cookies" icon={<Cookie aria-hidden />} text={words.noCookies} reload />;
  if (offline) return <Line kind="offline" icon={<WifiOff aria-hidden />} text={words.offlineBanner} />;
  if (feed === "down") return <Line kind="down" icon={<CloudOff aria-hidden />} text={words.feedDown} />;
  if (stale) return <Line kind="stale" icon={<RefreshCw aria-hidden />} text={words.stale} reload />;
  if (trouble === null) return null;
  const text = trouble === "full" ? words.storageFull : words.storageForbidden;
  return <Line kind="storage" icon={<HardDrive aria-hidden />} text={text} />;
}

function Line({
  kind,
  icon,
  text,
  reload = false,
}: {
  kind: string;
  icon: ReactNode;
  text: string;
  reload?: boolean;
}) {
  const isLoss = kind === "offline" || kind === "down"; // announced together with the answer's
  useEffect(() => {
    if (!isLoss) announce(text);
  }, [text, isLoss]);
  return (
    // In the header where there is room, so that nothing is covered and nothing moves.
    <div className="z-20 flex justify-center px-3 pb-1 md:absolute md:top-0 md:right-0 md:h-14 md:max-w-[60%] md:items-center md:pb-0">
      <div
        data-testid="banner"
        data-kind={kind}
        className="rise flex max-w-full items-center gap-2.5 rounded-2xl border border-border bg-popover px-3.5 py-1.5 text-[13px] leading-5 shadow-sm [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-warn"
      >
        {icon}
        <span>{text}</span>
        {reload && (
          <button
            type="button"
            className="rounded-sm font-medium underline underline-offset-4 outline-none focus-visible:ring-2 focus-visible:ring-ring"
            onClick={() => location.reload()}
          >
            {words.reload}
          </button>
        )}
      </div>
    </div>
  );
}

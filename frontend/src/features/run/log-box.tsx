// A box with a log that follows its end only while the reader is there.
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";

const NEAR_END_PX = 40;

interface LogBoxProps {
  label: string;
  live: boolean;
  /** Changes whenever there is more to see. */
  version: unknown;
  children: ReactNode;
}

/** Whether the reader is at the end; while so, the box is scrolled there as it grows. */
function useFollow(live: boolean, version: unknown) {
  const box = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(live);
  const toEnd = () => box.current?.scrollTo({ top: box.current.scrollHeight });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `version` is what grows.
  useLayoutEffect(() => {
    if (live && following) toEnd();
  }, [live, following, version]);
  useEffect(() => setFollowing(live), [live]);
  const onScroll = () => {
    const at = box.current;
    if (at && live) setFollowing(at.scrollHeight - at.scrollTop - at.clientHeight < NEAR_END_PX);
  };
  return { box, following, onScroll, follow: () => setFollowing(true) };
}

export function LogBox({ label, live, version, children }: LogBoxProps) {
  const { box, following, onScroll, follow } = useFollow(live, version);
  return (
    <div className="relative">
      <div
        ref={box}
        className="log"
        role="log"
        aria-label={label}
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
        tabIndex={0}
        data-live={live || undefined}
        onScroll={onScroll}
      >
        {children}
      </div>
      {live && (
        <button type="button" className="follow" disabled={following} onClick={follow}>
          {following ? "following ↓" : "to the end ↓"}
        </button>
      )}
    </div>
  );
}

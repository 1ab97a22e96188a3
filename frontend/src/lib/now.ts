// The current time as state, for durations that count while something runs.
import { useEffect, useState } from "react";

/** The time in milliseconds, renewed every `every` ms; `null` stops the clock. */
export function useNow(every: number | null): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (every === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

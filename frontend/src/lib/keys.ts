// Single-key shortcuts: which keys do what, and the switch that turns them off.
import { useEffect, useRef } from "react";
import { readStored, writeStored } from "./store";

const KEY = "paceline.keys";

/** True unless the person turned single-key shortcuts off. */
export function shortcutsEnabled(): boolean {
  return readStored(KEY) !== "off";
}

/** Turns single-key shortcuts on or off in this browser. */
export function enableShortcuts(on: boolean): void {
  writeStored(KEY, on ? undefined : "off");
}

/** True while keys belong to a field or a dialog. */
function isTaken(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true;
  const target = event.target;
  return (
    target instanceof Element && target.closest("input, textarea, select, [role=dialog], [role=alertdialog]") !== null
  );
}

/** Calls the handler of a pressed key, as long as nothing else has a use for it. */
export function useShortcuts(handlers: Record<string, () => void>): void {
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const handler = latest.current[event.key];
      if (!handler || isTaken(event) || !shortcutsEnabled()) return;
      event.preventDefault();
      handler();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

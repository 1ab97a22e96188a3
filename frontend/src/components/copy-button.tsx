// Copies a text and says for a moment that it did.
import { useEffect, useState } from "react";

const SHOWN_MS = 2000;

/** `text` is called at the click. */
export function CopyButton({ text, children, className = "btn btn-ghost" }: CopyButtonProps) {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return;
    const timer = setTimeout(() => setSaid(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setSaid("Copied");
    } catch {
      setSaid("The browser refused");
    }
  };
  return (
    <button type="button" className={className} onClick={copy}>
      <span aria-live="polite">{said ?? children}</span>
    </button>
  );
}

interface CopyButtonProps {
  text: () => string;
  children: string;
  className?: string;
}

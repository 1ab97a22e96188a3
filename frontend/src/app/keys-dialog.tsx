// The list of keys, with the switch that turns single-key shortcuts off.
import { useState } from "react";
import { Dialog } from "@/components/dialog";
import { enableShortcuts, shortcutsEnabled } from "@/lib/keys";

const KEYS = [
  ["c", "new run"],
  ["r", "list of runs"],
  ["/", "search runs"],
  ["j k", "next and previous run of the list"],
  ["Enter", "open the run"],
  ["Ctrl Enter", "start a run, or approve, from within the field"],
  ["?", "this list"],
] as const;

interface KeysDialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
}

export function KeysDialog({ open, onOpenChange }: KeysDialogProps) {
  const [on, setOn] = useState(shortcutsEnabled);
  const change = (next: boolean) => {
    enableShortcuts(next);
    setOn(next);
  };
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keys">
      <dl className="mt-3 grid grid-cols-[max-content_1fr] gap-x-5 gap-y-1.5">
        {KEYS.map(([key, what]) => (
          <div key={key} className="contents">
            <dt>
              <kbd className="key">{key}</kbd>
            </dt>
            <dd className="text-ink-2">{what}</dd>
          </div>
        ))}
      </dl>
      <label className="mt-4 flex items-center gap-2">
        <input type="checkbox" checked={on} onChange={(event) => change(event.target.checked)} />
        Single-key shortcuts
      </label>
      <button type="button" className="btn mt-4" onClick={() => onOpenChange(false)}>
        Close
      </button>
    </Dialog>
  );
}

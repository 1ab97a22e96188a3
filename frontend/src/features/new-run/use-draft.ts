// The form's state: begins with the stored draft, and is stored again whenever typing pauses.
import { useEffect, useState } from "react";
import { type Draft, dropDraft, EMPTY_DRAFT, isWorthKeeping, loadDraft, saveDraft } from "./draft";
import { useSettled } from "./use-settled";

const SAVE_MS = 300;

export function useDraft(template: string | undefined) {
  const [draft, setDraft] = useState<Draft>(() => ({ ...loadDraft(), ...(template !== undefined && { template }) }));
  const [restored, setRestored] = useState(() => isWorthKeeping(loadDraft()));
  const settled = useSettled(draft, SAVE_MS);
  useEffect(() => saveDraft(settled), [settled]);
  return {
    draft,
    restored,
    change: (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part })),
    discard: () => {
      dropDraft();
      setDraft((old) => ({ ...EMPTY_DRAFT, template: old.template }));
      setRestored(false);
    },
  };
}

// A model as a small label: provider, name, and why it is this one.
import type { ModelWhy } from "@/lib/model-why";
import { showHidden } from "@/lib/visible";

/** The inside of a chip, for elements that bring their own frame (the picker's button). */
export function ModelLabel({ provider, name, why }: Pick<ModelWhy, "provider" | "name" | "why">) {
  return (
    <>
      <span className="model-name">
        {provider === null ? null : showHidden(provider)}
        <b>{name === null ? "not known yet" : showHidden(name)}</b>
      </span>
      <span className="model-why">{why}</span>
    </>
  );
}

/** The chip; its full sentence (asked, why, ran) is its title. */
export function ModelChip({ model }: { model: ModelWhy }) {
  return (
    <span className="model" title={model.sentence} data-mismatch={model.mismatch || undefined}>
      <ModelLabel {...model} />
    </span>
  );
}

// Other models for steps of a run that are still to come: a row with the model picker for each.
import { useQuery } from "@tanstack/react-query";
import { ModelLabel } from "@/components/model-chip";
import { Notice } from "@/components/notice";
import { modelsOptions } from "@/features/new-run/api";
import { type Choices, withChoice } from "@/features/new-run/choice";
import { fieldErrors } from "@/features/new-run/field-errors";
import { FieldError } from "@/features/new-run/field-row";
import { ModelPicker } from "@/features/new-run/model-picker";
import { isListed, type PickItem } from "@/features/new-run/picker-items";
import { sentenceOf } from "@/lib/api";
import { originWord, splitModel } from "@/lib/model-why";
import type { Model, ProblemError, Run, Step } from "@/types/api";

interface ModelChoicesProps {
  run: Run;
  steps: Step[];
  chosen: Choices;
  /** What the last attempt to send the choices came to. */
  error: unknown;
  onChoose: (chosen: Choices) => void;
}

interface RowProps {
  step: Step;
  models: Model[] | undefined;
  choice: string | undefined;
  error: ProblemError | undefined;
  onPick: (ref: string | null) => void;
}

/** The model that a step has without a choice. */
function ownItem(step: Step): PickItem {
  const model = step.resolved_model ?? step.model;
  return { ref: null, label: model === null ? "Keep" : `Keep → ${model}`, note: originWord(step.model_origin) };
}

function Row({ step, models, choice, error, onPick }: RowProps) {
  const own = ownItem(step);
  const shown = choice ?? step.resolved_model ?? step.model;
  const label = `${step.order_index + 1} ${step.agent_name}`;
  const parts = shown === null ? { provider: null, name: "OpenCode decides" } : splitModel(shown);
  return (
    <li>
      <div className="flex flex-wrap items-center gap-2.5">
        <small>{label} on</small>
        <ModelPicker
          label={`Model of step ${label}: ${choice ?? own.label}`}
          models={models ?? []}
          inherit={own}
          chosen={choice}
          invalid={error !== undefined}
          onPick={onPick}
          className="model pick"
        >
          <ModelLabel {...parts} why={choice === undefined ? own.note : "chosen here"} />
        </ModelPicker>
      </div>
      {choice !== undefined && models && !isListed(models, choice) && (
        <p className="field-hint text-wait">OpenCode does not list this model; the server will check it.</p>
      )}
      <FieldError error={error} onTake={onPick} />
    </li>
  );
}

export function ModelChoices({ run, steps, chosen, error, onChoose }: ModelChoicesProps) {
  const models = useQuery(modelsOptions(run.working_dir));
  const errors = fieldErrors(error).fields;
  return (
    <>
      <ul className="grid gap-2" aria-label="Models of the steps to come">
        {steps.map((step) => (
          <Row
            key={step.id}
            step={step}
            models={models.data?.items}
            choice={chosen[step.order_index]}
            error={errors[`model ${step.order_index}`]}
            onPick={(ref) => onChoose(withChoice(chosen, step.order_index, ref))}
          />
        ))}
      </ul>
      {models.isError && (
        <Notice tone="wait">
          The list of models cannot be read now: {sentenceOf(models.error)} A name can be typed.
        </Notice>
      )}
    </>
  );
}

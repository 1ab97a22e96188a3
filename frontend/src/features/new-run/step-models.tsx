// The steps of the chosen template, each with the model it will run on and the way to choose another.
import { ModelLabel } from "@/components/model-chip";
import type { Agent, ModelList, Template, TemplateStep } from "@/types/api";
import { withChoice } from "./choice";
import type { FieldErrors } from "./field-errors";
import { FieldError } from "./field-row";
import { type Inherited, inherited, rowModel } from "./inherit";
import { ModelPicker } from "./model-picker";
import { isListed, type PickItem } from "./picker-items";

interface StepModelsProps {
  template: Template;
  agents: Agent[];
  models: ModelList | undefined;
  chosen: Record<number, string>;
  errors: FieldErrors["fields"];
  onChoose: (models: Record<number, string>) => void;
}

function inheritItem(from: Inherited): PickItem {
  return { ref: null, label: from.model ? `Inherit → ${from.model}` : "Inherit", note: from.why };
}

function ApplyToAll({ template, models, chosen, onChoose }: StepModelsProps) {
  const agentSteps = template.steps.flatMap((step, index) => (step.type === "agent" ? [index] : []));
  if (agentSteps.length < 2) return null;
  const pick = (ref: string | null) =>
    onChoose(agentSteps.reduce((choices, index) => withChoice(choices, index, ref), chosen));
  return (
    <ModelPicker
      label="Apply one model to all steps"
      models={models?.items ?? []}
      inherit={{ ref: null, label: "Inherit", note: "as the template has it" }}
      chosen={undefined}
      onPick={pick}
      className="btn-link ml-2"
    >
      apply one to all
    </ModelPicker>
  );
}

function ModelCell({ step, index, ...props }: StepModelsProps & { step: TemplateStep; index: number }) {
  const { agents, models, chosen, errors, onChoose } = props;
  if (step.type !== "agent") return <small>you decide</small>;
  const from = inherited(step, agents, models?.default ?? null);
  const choice = chosen[index];
  const pick = (ref: string | null) => onChoose(withChoice(chosen, index, ref));
  const shown = rowModel(choice, from);
  const error = errors[`model ${index}`];
  return (
    <>
      <ModelPicker
        label={`Model of step ${index + 1}, ${step.agent}: ${choice ?? inheritItem(from).label}`}
        models={models?.items ?? []}
        inherit={inheritItem(from)}
        chosen={choice}
        invalid={error !== undefined}
        onPick={pick}
        className="model pick"
      >
        <ModelLabel {...shown} name={shown.name ?? "OpenCode decides"} />
      </ModelPicker>
      {choice !== undefined && models && !isListed(models.items, choice) && (
        <p className="field-hint text-wait">OpenCode does not list this model; the server will check it.</p>
      )}
      <FieldError error={error} onTake={pick} />
    </>
  );
}

export function StepModels(props: StepModelsProps) {
  return (
    <section className="panel" aria-label="Steps and their models">
      <table className="runs-table" data-head>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">
              Model
              <ApplyToAll {...props} />
            </th>
          </tr>
        </thead>
        <tbody>
          {props.template.steps.map((step, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a template's steps keep their order.
            <tr key={index}>
              <td>
                <b className="font-semibold">
                  {index + 1} {step.type === "agent" ? step.agent : "approval"}
                </b>
                <br />
                <small>{step.description}</small>
              </td>
              <td>
                <ModelCell {...props} step={step} index={index} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

// The templates as cards to choose from, each with its line of steps.
import type { PipStep } from "@/components/pips";
import { Pips } from "@/components/pips";
import type { Template, TemplateStep } from "@/types/api";

function pipOf(step: TemplateStep): PipStep {
  return { type: step.type, agent_name: step.type === "agent" ? step.agent : null, status: "pending" };
}

interface TemplateCardsProps {
  templates: Template[];
  chosen: string;
  onChoose: (name: string) => void;
}

export function TemplateCards({ templates, chosen, onChoose }: TemplateCardsProps) {
  return (
    <fieldset className="cards">
      <legend className="sr-only">Template</legend>
      {templates.map((template) => (
        <label key={template.name} className="card">
          <input
            type="radio"
            name="template"
            className="sr-only"
            value={template.name}
            checked={template.name === chosen}
            onChange={() => onChoose(template.name)}
          />
          <b>{template.name}</b>
          <Pips steps={template.steps.map(pipOf)} withStatus={false} />
          <small>{template.description}</small>
        </label>
      ))}
    </fieldset>
  );
}

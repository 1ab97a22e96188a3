// One agent step in five views: output, hand-off, changes, prompt, details.
import { Tabs } from "@base-ui/react/tabs";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { attemptsOptions } from "@/features/runs/api";
import type { Attempt, Run, Step } from "@/types/api";
import { AttemptSelect } from "./attempt-select";
import { ChangesTab } from "./changes-tab";
import { DetailsTab } from "./details-tab";
import { HandoffTab } from "./handoff-view";
import { OutputTab } from "./output-tab";
import { PromptTab } from "./prompt-tab";
import { TAB_WORDS, TABS, type Tab } from "./search";

const route = getRouteApi("/runs/$runId");

interface StepPanelProps {
  run: Run;
  step: Step;
  now: number;
}

/** What the tabs of one step share. `attempt` is the one of the address, else the newest. */
export interface StepView extends StepPanelProps {
  attempts: Attempt[] | undefined;
  attempt: Attempt | undefined;
  isNewest: boolean;
}

function useStepView({ run, step, now }: StepPanelProps): StepView {
  const { attempt: wanted } = route.useSearch();
  const { data: attempts } = useQuery({ ...attemptsOptions(run.id, step.id), enabled: step.attempts > 0 });
  const newest = attempts?.at(-1);
  const attempt = attempts?.find((item) => item.number === wanted) ?? newest;
  return { run, step, now, attempts, attempt, isNewest: attempt === newest };
}

function TabBody({ tab, view }: { tab: Tab; view: StepView }) {
  if (tab === "output") return <OutputTab view={view} />;
  if (tab === "handoff") return <HandoffTab step={view.step} />;
  if (tab === "changes") return <ChangesTab run={view.run} />;
  if (tab === "prompt") return <PromptTab attempt={view.attempt} step={view.step} />;
  return <DetailsTab view={view} />;
}

export function StepPanel(props: StepPanelProps) {
  const { tab = "output" } = route.useSearch();
  const navigate = route.useNavigate();
  const view = useStepView(props);
  const choose = (next: Tab) =>
    navigate({
      search: (old) => ({ ...old, step: props.step.order_index + 1, tab: next }),
      replace: true,
      resetScroll: false,
    });
  return (
    <Tabs.Root className="panel min-w-0" value={tab} onValueChange={choose}>
      <div className="tabs">
        <Tabs.List className="flex" aria-label={`Step ${props.step.order_index + 1}, ${props.step.agent_name}`}>
          {TABS.map((name) => (
            <Tabs.Tab key={name} value={name} className="tab">
              {TAB_WORDS[name]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <span className="flex-1" />
        <AttemptSelect attempts={view.attempts} chosen={view.attempt} />
      </div>
      {TABS.map((name) => (
        <Tabs.Panel key={name} value={name}>
          {name === tab && <TabBody tab={name} view={view} />}
        </Tabs.Panel>
      ))}
    </Tabs.Root>
  );
}

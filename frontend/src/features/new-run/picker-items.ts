// What the model picker lists for a query: inherit first, then models by provider, then the text as it was typed.
import { fitness } from "@/lib/fuzzy";
import type { Model } from "@/types/api";

/** `ref` is null for "inherit". `model` is absent for inherit and for free text. */
export interface PickItem {
  ref: string | null;
  label: string;
  note: string;
  model?: Model;
  disabled?: boolean;
}

export type PickGroup = {
  label: string;
  items: PickItem[];
};

const MOST = 80;

const KINDS: Record<Model["kind"], string> = {
  own_key: "your key",
  local: "local, stays on this machine",
  third_party_free: "third party, prompts leave this machine",
};

/** The heading of a provider: whose it is, or why it cannot be used. */
function headingOf(model: Model): string {
  if (!model.connected) return `${model.provider} · not connected${model.reason ? `: ${model.reason}` : ""}`;
  return `${model.provider} · ${KINDS[model.kind]}`;
}

/** Models that fit the query, usable ones first, best fit first; without a query in the server's order. */
function matching(models: Model[], query: string): Model[] {
  const scored = models.flatMap((model) => {
    const score = fitness(query, `${model.ref} ${model.name}`);
    return score === undefined ? [] : [{ model, score }];
  });
  scored.sort((a, b) => Number(b.model.connected) - Number(a.model.connected) || a.score - b.score);
  return scored.map(({ model }) => model);
}

function modelItem(model: Model): PickItem {
  return { ref: model.ref, label: model.id, note: "", model, disabled: !model.connected };
}

function byProvider(models: Model[]): PickGroup[] {
  const groups = new Map<string, PickItem[]>();
  for (const model of models) {
    const heading = headingOf(model);
    groups.set(heading, [...(groups.get(heading) ?? []), modelItem(model)]);
  }
  return [...groups].map(([label, items]) => ({ label, items }));
}

/** True when the list has a model of exactly this name, with or without its provider. */
export function isListed(models: Model[], text: string): boolean {
  return models.some((model) => model.ref === text || model.id === text);
}

/** All groups of the picker; a long list is cut, and says so. */
export function pickGroups(models: Model[], query: string, inherit: PickItem): PickGroup[] {
  const text = query.trim();
  const found = matching(models, text);
  const groups = byProvider(found.slice(0, MOST));
  if (found.length > MOST) groups.push({ label: `${found.length - MOST} more: type to narrow the list`, items: [] });
  if (text === "") return [{ label: "", items: [inherit] }, ...groups];
  if (isListed(models, text)) return groups;
  const typed: PickItem = { ref: text, label: text, note: "as typed, not in OpenCode’s list" };
  return [...groups, { label: "", items: [typed] }];
}

/** `$5 / $25` per million tokens, `free`, or nothing when the price is unknown. */
export function priceOf({ price_input, price_output }: Model): string {
  if (price_input === null || price_output === null) return "";
  return price_input === 0 && price_output === 0 ? "free" : `$${price_input} / $${price_output}`;
}

/** `200k`, `1M`; nothing when unknown. */
export function contextOf({ context }: Model): string {
  if (!context) return "";
  return context >= 1_000_000 ? `${Math.round(context / 100_000) / 10}M` : `${Math.round(context / 1000)}k`;
}

// The filters above the list; each change is a new address.
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { templatesOptions } from "@/features/registry/api";
import { useShortcuts } from "@/lib/keys";
import { GROUP_WORDS, type RunFilters, type StatusGroup } from "./filters";

const route = getRouteApi("/runs");
const TYPING_MS = 250;

/** Changes some filters in the address; undefined takes one out. */
function useSetFilters() {
  const navigate = route.useNavigate();
  return (change: { [Key in keyof RunFilters]: RunFilters[Key] | undefined }, replace = false) =>
    navigate({
      replace,
      search: (old) =>
        Object.fromEntries(
          Object.entries({ ...old, ...change }).filter(([, value]) => value !== undefined),
        ) as RunFilters,
    });
}

function Search() {
  const { q = "" } = route.useSearch();
  const setFilters = useSetFilters();
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(q);
  const typed = useRef(false);
  useShortcuts({ "/": () => field.current?.focus() });
  useEffect(() => {
    typed.current = false;
    setText(q);
  }, [q]);
  useEffect(() => {
    if (!typed.current || text.trim() === q) return;
    const timer = setTimeout(() => setFilters({ q: text.trim() || undefined }, true), TYPING_MS);
    return () => clearTimeout(timer);
  });
  return (
    <input
      ref={field}
      type="search"
      className="search min-w-[200px] flex-1"
      placeholder="Search title and task   /"
      aria-label="Search title and task"
      value={text}
      onChange={(event) => {
        typed.current = true;
        setText(event.target.value);
      }}
    />
  );
}

function TemplateFilter() {
  const { template } = route.useSearch();
  const setFilters = useSetFilters();
  const templates = useQuery(templatesOptions);
  const names = new Set(templates.data?.map((item) => item.name));
  if (template) names.add(template);
  return (
    <select
      className="select"
      aria-label="Template"
      value={template ?? ""}
      onChange={(event) => setFilters({ template: event.target.value || undefined })}
    >
      <option value="">template: any</option>
      {[...names].map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

export function RunsFilters() {
  const { status } = route.useSearch();
  const setFilters = useSetFilters();
  return (
    // biome-ignore lint/a11y/useSemanticElements: the DOM of the unit tests does not know <search>.
    <div role="search" className="my-4 mb-3 flex flex-wrap gap-2">
      <Search />
      {(Object.keys(GROUP_WORDS) as StatusGroup[]).map((group) => (
        <button
          key={group}
          type="button"
          className="chip"
          aria-pressed={status === group}
          onClick={() => setFilters({ status: status === group ? undefined : group })}
        >
          {GROUP_WORDS[group]}
        </button>
      ))}
      <TemplateFilter />
    </div>
  );
}

// Picks a model: a button with the chip on it, and behind it a searchable list, grouped by provider.
import { Combobox } from "@base-ui/react/combobox";
import { type ReactNode, useState } from "react";
import type { Model } from "@/types/api";
import { contextOf, type PickGroup, type PickItem, pickGroups, priceOf } from "./picker-items";

interface ModelPickerProps {
  label: string;
  models: Model[];
  inherit: PickItem;
  chosen: string | undefined;
  invalid?: boolean;
  /** Called with null for "inherit". */
  onPick: (ref: string | null) => void;
  /** The button: class and content. */
  className: string;
  children: ReactNode;
}

function Row({ item }: { item: PickItem }) {
  return (
    <Combobox.Item value={item} className="picker-item" disabled={item.disabled ?? false}>
      <span className="mono">{item.label}</span>
      {item.model ? (
        <>
          <small>{contextOf(item.model)}</small>
          <small>{priceOf(item.model)}</small>
        </>
      ) : (
        <small className="col-span-2">{item.note}</small>
      )}
    </Combobox.Item>
  );
}

function Group({ group }: { group: PickGroup }) {
  return (
    <Combobox.Group items={group.items}>
      {group.label && <Combobox.GroupLabel className="picker-group">{group.label}</Combobox.GroupLabel>}
      <Combobox.Collection>{(item: PickItem) => <Row key={item.ref ?? ""} item={item} />}</Combobox.Collection>
    </Combobox.Group>
  );
}

function Popup({ label }: { label: string }) {
  return (
    <Combobox.Portal>
      <Combobox.Positioner align="start" sideOffset={4} className="z-40">
        <Combobox.Popup className="picker" aria-label={label}>
          <Combobox.Input className="search" placeholder="provider, name or id" aria-label="Search models" />
          <Combobox.List className="picker-list">
            {(group: PickGroup) => <Group key={group.label || (group.items[0]?.ref ?? "inherit")} group={group} />}
          </Combobox.List>
        </Combobox.Popup>
      </Combobox.Positioner>
    </Combobox.Portal>
  );
}

export function ModelPicker(props: ModelPickerProps) {
  const { label, models, inherit, chosen, invalid, onPick, className, children } = props;
  const [query, setQuery] = useState("");
  const groups = pickGroups(models, query, inherit);
  const value = groups.flatMap((group) => group.items).find((item) => item.ref === (chosen ?? null)) ?? null;
  return (
    <Combobox.Root<PickItem>
      items={groups}
      filteredItems={groups}
      filter={null}
      autoHighlight
      value={value}
      onValueChange={(item) => item && onPick(item.ref)}
      inputValue={query}
      onInputValueChange={setQuery}
      onOpenChange={(open) => open && setQuery("")}
      itemToStringLabel={(item) => item.label}
      isItemEqualToValue={(a, b) => a.ref === b.ref}
    >
      <Combobox.Trigger className={className} aria-label={label} aria-invalid={invalid || undefined}>
        {children}
      </Combobox.Trigger>
      <Popup label={label} />
    </Combobox.Root>
  );
}

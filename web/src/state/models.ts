/** The models that the server offers, and the one that this browser has chosen. */
import { createStore } from "zustand/vanilla";
import type { OfferedModel } from "./model";
import { read, write } from "./storage";

export interface ModelsState {
  offered: readonly OfferedModel[];
  /** The id of the chosen model; null for the server's default. */
  chosen: string | null;
}

export const models = createStore<ModelsState>(() => ({ offered: [], chosen: read("model") }));

export function chooseModel(id: string): void {
  write("model", id);
  models.setState({ chosen: id });
}

/** The model that the next message is sent to; undefined while the models are not loaded. */
export function currentModel({ offered, chosen }: ModelsState): OfferedModel | undefined {
  return offered.find((model) => model.id === chosen) ?? offered[0];
}

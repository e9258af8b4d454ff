import type { Labels } from "../api";
import { isKey } from "../catalogue";
import type { Format } from "../logic/format";

/** The name of a dimension; as it is where the catalogue does not know it. */
export function dimensionName(format: Format, dimension: string): string {
  const key = `dim.${dimension}`;
  return isKey(key) ? format.t(key) : dimension.replaceAll("_", " ");
}

/** The name of a column of mart. */
export function columnName(format: Format, column: string): string {
  const key = `column.${column}`;
  return isKey(key) ? format.t(key) : column.replaceAll("_", " ");
}

/** The name of a value: of departments and items what the county calls them, of common codes ours. */
export function valueName(format: Format, labels: Labels, dimension: string, value: string): string {
  if (value === "") return format.t("figures.notGiven");
  const list = { department: labels.departments, issuer: labels.departments, item: labels.items, item_code: labels.items }[dimension];
  const label = list?.find((l) => l.key === value);
  const name = label && format.text(label);
  if (name) return name;
  const key = `value.${value}`;
  return isKey(key) ? format.t(key) : value;
}

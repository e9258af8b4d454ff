import type { ComponentChildren } from "preact";
import type { Definition } from "../api";
import { isKey } from "../catalogue";
import { FigureLink } from "./bits";
import { useFigures } from "./context";

/** What the figure is: in words, and as an analyst finds it in SQL. */
export function DefinitionPanel({ definition: d }: { definition: Definition }) {
  const { definitions, format } = useFigures();
  const t = format.t;
  const gradeKey = `grade.${d.grade}`;
  return (
    <section class="panel fig-definition" aria-labelledby="definition-title">
      <h2 id="definition-title">{t("definition.title")}</h2>
      <p>{format.text(d.description)}</p>
      <dl class="fig-facts">
        {d.leaves_out && <Fact name={t("definition.leavesOut")}>{format.text(d.leaves_out)}</Fact>}
        <Fact name={t("definition.computed")}>{t(`kind.of.${d.kind as "simple"}`)}{d.maximum_open ? <> {t("definition.maximumOpen", { share: format.value(d.maximum_open, "share") })}</> : null}</Fact>
        {d.formula && <Fact name={t("definition.formula")}><code>{d.formula}</code></Fact>}
        {d.inputs?.length ? (
          <Fact name={t("definition.from")}>
            {d.inputs.map((name) => {
              const input = definitions.find((other) => other.name === name);
              return <span key={name} class="fig-input"><FigureLink to={{ metric: name, part: "", skip: 0 }}>{input ? format.text(input.label) : name}</FigureLink></span>;
            })}
          </Fact>
        ) : null}
        <Fact name={t("definition.unit")}>{t(`unitName.${d.unit}`)}; {t(d.better === "up" ? "figures.up" : "figures.down")}</Fact>
        <Fact name={t("definition.cell")}>{d.minimum_cell > 1 ? t("definition.cellWhat", { n: d.minimum_cell }) : t("definition.cellNone")}</Fact>
        <Fact name={t("definition.grade")}>{isKey(gradeKey) ? t(gradeKey) : d.grade}</Fact>
        <Fact name={t("definition.version")}>{d.version}</Fact>
      </dl>
      <details>
        <summary>{t("definition.sql")}</summary>
        <dl class="fig-sql">
          {([["view", d.view], ["from", d.from], ["where", d.where], ["time", d.time], ["numerator", d.numerator], ["denominator", d.denominator], ["duration", d.duration], ["event", d.event]] as const)
            .map(([name, sql]) => sql && <Fact key={name} name={t(`definition.${name}`)}><code>{sql}</code></Fact>)}
        </dl>
        {d.refused && <p class="aside" lang="en">{d.refused}</p>}
      </details>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>;
}

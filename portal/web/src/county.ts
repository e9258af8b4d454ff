import { useEffect, useMemo, useState } from "preact/hooks";
import type { County, Definition, Failure, Labels } from "./api";
import { translator, type Language } from "./catalogue";
import { Format } from "./logic/format";
import { useCounter, useFlow, useRemote, useThrottled, type Pulse, type Remote } from "./remote";

const whileLoading = 30_000; // ms between readings of the figures while loads complete one after another
const whileEmpty = 3_000;
const retryEvery = 10_000;

/** What every page of figures stands on. */
export interface Standing {
  pulse: Pulse;
  county: Remote<County>;
  definitions: Remote<Definition[]>;
  labels: Remote<Labels>;
  name: string; // of the county
  format: Format;
  version: string; // of the figures: changes when they have to be read again
  waiting: boolean; // it is not known yet of which load the figures are
  missing: boolean; // not all of it is here
  failure: Failure | null;
  retry: () => void;
}

/** Reads which county this is, what its figures are and how they are called, and reads them again when data has been loaded. */
export function useCounty(language: Language): Standing {
  const pulse = useFlow();
  const [attempts, retry] = useCounter();
  const [empty, setEmpty] = useState(true);
  const generation = useThrottled(pulse.flow?.generation ?? 0, empty ? whileEmpty : whileLoading);
  const version = `${generation}/${pulse.regained}/${attempts}`;
  const county = useRemote<County>("/api/v1/county", version);
  const definitions = useRemote<Definition[]>("/api/v1/metrics", String(attempts + pulse.regained));
  const labels = useRemote<Labels>("/api/v1/labels", version);
  useEffect(() => setEmpty(county.data?.empty ?? true), [county.data]);

  const zone = county.data?.time_zone ?? "Asia/Shanghai";
  const format = useMemo(() => new Format(language, translator(language), zone), [language, zone]);
  const name = county.data ? (language === "en" ? county.data.name_en || county.data.name_zh : county.data.name_zh) : "shire";

  const failure = county.failure ?? definitions.failure ?? labels.failure;
  // The figures are read once it is known of which load they are; else the first reading would be followed by a second.
  const waiting = generation === 0 && !pulse.lost && (county.data?.generation ?? 0) > 0;
  const missing = waiting || !county.data || !definitions.data || !labels.data;
  useEffect(() => {
    if (!failure) return;
    const timer = setInterval(retry, retryEvery);
    return () => clearInterval(timer);
  }, [failure, retry]);
  return { pulse, county, definitions, labels, name, format, version, waiting, missing, failure, retry };
}

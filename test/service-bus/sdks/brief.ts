/** What a driver is told, in a file of JSON, and what it says, in lines of JSON. */
import type { Scenario, Way } from './steps.ts';

export interface Brief {
  way: Way;
  connection: string;
  /** Of the administration, with its port. */
  administration: string;
  host: string;
  port: number;
  /** The file of a certificate to trust. */
  ca: string | null;
  /** May run at the same time. */
  sideBySide: Pick<Scenario, 'name' | 'steps'>[];
  /** Run after these, one after another. */
  alone: Pick<Scenario, 'name' | 'steps'>[];
}

export interface Verdict {
  name: string;
  /** Null when it went well. */
  why: string | null;
}

/** A driver asks for a restart of the broker, and is answered with a line when it is done. */
export type Said = Verdict | { restart: true };

/** `longhaul doctor` without a deployment: the app in this folder, in the order in which things break. */
import { type Finding, runChecks } from '../check.ts';
import { type FolderCheck, readFolder } from './app.ts';
import { entryChecks } from './entry.ts';
import { hostChecks } from './host-json.ts';
import { packageChecks } from './packages.ts';
import { settingsChecks } from './settings.ts';
import { topologyChecks } from './topology.ts';

export const folderChecks: readonly FolderCheck[] = [
  ...packageChecks,
  ...topologyChecks,
  ...hostChecks,
  ...settingsChecks,
  ...entryChecks,
];

/** @throws when there is no app in that folder */
export async function examineFolder(
  folder: string,
  environment: Record<string, string | undefined>,
  only: readonly string[] = [],
  tell: (finding: Finding) => void = () => undefined,
): Promise<Finding[]> {
  const app = readFolder(folder, environment);
  const chosen = folderChecks.filter(({ name }) => only.length === 0 || only.includes(name));
  const findings: Finding[] = [];
  for await (const finding of runChecks(chosen, app)) {
    findings.push(finding);
    tell(finding);
  }
  return findings;
}

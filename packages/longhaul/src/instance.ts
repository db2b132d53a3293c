/** Which process of which deployment this is. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Instance } from './model/job-record.ts';
import type { Settings } from './settings.ts';

const nameChars = 100;
// Of an instance's id, which has 64 digits.
const idChars = 12;

export function instanceOf(settings: Settings): Instance {
  const { LONGHAUL_VERSION, WEBSITE_DEPLOYMENT_ID, WEBSITE_SITE_NAME } = settings;
  const { WEBSITE_INSTANCE_ID, HOSTNAME = hostname() } = settings;
  const [name, version] = packageOf();
  const machine = WEBSITE_INSTANCE_ID?.slice(0, idChars) ?? HOSTNAME;
  return {
    app: (WEBSITE_SITE_NAME ?? name).slice(0, nameChars),
    version: (LONGHAUL_VERSION ?? WEBSITE_DEPLOYMENT_ID ?? version).slice(0, nameChars),
    // A machine may have several workers.
    instance: `${machine.slice(0, nameChars)}:${process.pid}`,
  };
}

/** Name and version of the app's own package; the host starts its worker in the app's folder. */
function packageOf(): [name: string, version: string] {
  try {
    const { name, version } = JSON.parse(readFileSync('package.json', 'utf8')) as {
      name?: unknown;
      version?: unknown;
    };
    return [String(name ?? 'app'), String(version ?? '0')];
  } catch {
    return ['app', '0'];
  }
}

import { freePorts } from '#dev/stack/ports.js';
import { portSettings } from '#dev/stack/stack.js';

/** Free ports for each part, in the settings that `longhaul start` reads. */
export async function freePortSettings(): Promise<Record<string, string>> {
  const names = Object.values(portSettings);
  const ports = await freePorts(names.length);
  return Object.fromEntries(names.map((name, at) => [name, String(ports[at])]));
}

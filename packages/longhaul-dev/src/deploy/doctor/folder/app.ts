/** The app in a folder, as the checks look at it: nothing of it runs but its entry point. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readTopology, type Topology } from 'longhaul/internal/model/topology';
import { type AppSettings, readLocalSettings } from '../../../functions-host/host/app-settings.ts';
import { parseJson } from '../../../json-file.ts';
import type { Check } from '../check.ts';

export interface FolderApp {
  folder: string;
  /** The text of a file, where there is one. */
  read(file: string): string | undefined;
  /** @throws Error that names the file */
  json(file: string): Record<string, unknown>;
  /** Of local.settings.json and the environment, with what `longhaul start` supplies. */
  settings(): AppSettings;
  topology(): Topology;
}

export type FolderCheck = Check<FolderApp>;

// Nobody answers there: an app that is only loaded changes nothing.
const nowhere = 'http://127.0.0.1:1';
const supplied = {
  ServiceBus:
    'Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true;',
  AzureWebJobsStorage: `DefaultEndpointsProtocol=http;AccountName=a;AccountKey=Yg==;BlobEndpoint=${nowhere}/a;QueueEndpoint=${nowhere}/a;TableEndpoint=${nowhere}/a;`,
};

/** @throws when there is no app in that folder */
export function readFolder(
  folder: string,
  environment: Record<string, string | undefined>,
): FolderApp {
  const read = (file: string) =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : undefined;
  for (const file of ['package.json', 'host.json'])
    if (read(file) === undefined)
      throw new Error(
        `${folder} has no ${file}: call this in the folder of a Functions app, or give --url or --azure.`,
      );
  return {
    ...{ folder, read },
    json(file) {
      return parseJson(read(file) ?? '', file) as Record<string, unknown>;
    },
    settings: () => ({ ...readLocalSettings(folder, environment), ...supplied }),
    topology: () => readTopology(pathToFileURL(join(folder, 'topology.json'))),
  };
}

import { mkdir } from 'node:fs/promises';
import { type StartedChild, startChild } from 'longhaul-service-bus/internal/child';

export interface AzuriteOptions {
  data: string;
  host: string;
  ports: { blob: number; queue: number; table: number };
}

// Azurite's well-known development account; it opens nothing but an emulator.
const account = 'devstoreaccount1';
const key =
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

export function azuriteConnectionString({ host, ports }: AzuriteOptions): string {
  const at = (service: keyof AzuriteOptions['ports']) =>
    `http://${host}:${ports[service]}/${account}`;
  return [
    'DefaultEndpointsProtocol=http',
    `AccountName=${account}`,
    `AccountKey=${key}`,
    `BlobEndpoint=${at('blob')}`,
    `QueueEndpoint=${at('queue')}`,
    `TableEndpoint=${at('table')}`,
  ].join(';');
}

export async function startAzurite(options: AzuriteOptions): Promise<StartedChild<void>> {
  const { data, host, ports } = options;
  await mkdir(data, { recursive: true });
  const services = (['blob', 'queue', 'table'] as const).flatMap((service) => [
    `--${service}Host`,
    host,
    `--${service}Port`,
    String(ports[service]),
  ]);
  return startChild(
    'Azurite',
    new URL('azurite-process.js', import.meta.url),
    ['--location', data, ...services, '--silent', '--disableTelemetry', '--skipApiVersionCheck'],
    { readyLine: 'Table service is successfully listening' },
  );
}

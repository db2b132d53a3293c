/** How the JavaScript SDK reaches the broker. Certificates are trusted by the environment. */
import {
  ServiceBusAdministrationClient,
  ServiceBusClient,
  type ServiceBusClientOptions,
} from '@azure/service-bus';
import WebSocket from 'ws';
import { administrationOf } from '../../../support/administration.ts';
import type { Brief } from '../brief.ts';

export function clientOf({ way, connection, port }: Brief): ServiceBusClient {
  const options: ServiceBusClientOptions = { retryOptions: { maxRetries: 0, timeoutInMs: 15_000 } };
  if (way === 'websockets') {
    // The SDK knows no port but 443.
    class AtPort extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(Object.assign(new URL(url), { port: String(port) }), protocols);
      }
    }
    options.webSocketOptions = { webSocket: AtPort as never };
  }
  return new ServiceBusClient(connection, options);
}

/** Over plain HTTP where there is no TLS: by itself it speaks https only. */
export const administrationClientOf = ({ way, administration }: Brief) =>
  way === 'emulator'
    ? administrationOf(administration)
    : new ServiceBusAdministrationClient(administration);

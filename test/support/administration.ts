import { ServiceBusAdministrationClient } from '@azure/service-bus';

/** The unmodified client over plain HTTP: version 7.9.5 speaks https only, whatever it is told. */
export function administrationOf(connectionString: string): ServiceBusAdministrationClient {
  const client = new ServiceBusAdministrationClient(connectionString);
  const { pipeline } = client as unknown as {
    pipeline: {
      addPolicy(
        policy: {
          name: string;
          sendRequest<T>(
            request: { url: string; allowInsecureConnection: boolean },
            next: (request: unknown) => Promise<T>,
          ): Promise<T>;
        },
        options: { afterPhase: 'Sign' },
      ): void;
    };
  };
  pipeline.addPolicy(
    {
      name: 'plain-http',
      sendRequest(request, next) {
        request.url = request.url.replace(/^https:/, 'http:');
        request.allowInsecureConnection = true;
        return next(request);
      },
    },
    { afterPhase: 'Sign' },
  );
  return client;
}

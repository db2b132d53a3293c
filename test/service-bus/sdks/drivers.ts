/** How the scenarios are driven in each language: what it needs, how it is built, how it is run. */
import { join } from 'node:path';

export interface Drive {
  sources: string;
  cache: string;
  connection: string;
  ca: string | undefined;
}

export interface Driver {
  language: string;
  /** The command that shows that the language is there. */
  needs: string[];
  /** Commands that fetch packages and build; they cost nothing when that is done. */
  prepare(sources: string, cache: string): string[][];
  ways: ('emulator' | 'tls')[];
  /** Commands by which it is told to trust a certificate, if that is not an argument. */
  trust?(ca: string): string[][];
  command(drive: Drive): { command: string; args: string[]; env: Record<string, string> };
}

const python: Driver = {
  language: 'python',
  needs: ['python3', '-m', 'venv', '--help'],
  prepare: (_, cache) => [
    ['python3', '-m', 'venv', join(cache, 'python')],
    [join(cache, 'python/bin/pip'), 'install', '-q', 'azure-servicebus'],
  ],
  ways: ['emulator', 'tls'],
  command: ({ sources, cache, connection, ca }) => ({
    command: join(cache, 'python/bin/python'),
    args: [
      join(sources, 'python/driver.py'),
      join(sources, 'scenarios.json'),
      connection,
      ...(ca ? [ca] : []),
    ],
    env: ca ? { REQUESTS_CA_BUNDLE: ca } : {},
  }),
};

const java: Driver = {
  language: 'java',
  needs: ['mvn', '--version'],
  prepare: (sources, cache) => [
    [
      ...['mvn', '-q', '-f', join(sources, 'java/pom.xml'), 'dependency:copy-dependencies'],
      `-DoutputDirectory=${join(cache, 'java/lib')}`,
    ],
    [
      ...['javac', '-cp', join(cache, 'java/lib/*'), '-d', join(cache, 'java/out')],
      join(sources, 'java/Driver.java'),
    ],
  ],
  ways: ['emulator', 'tls'],
  trust: (ca) => [
    [
      ...['keytool', '-importcert', '-noprompt', '-alias', 'bus', '-file', ca],
      ...['-keystore', `${ca}.jks`, '-storepass', 'of-a-test'],
    ],
  ],
  command: ({ sources, cache, connection, ca }) => ({
    command: 'java',
    args: [
      ...(ca
        ? [`-Djavax.net.ssl.trustStore=${ca}.jks`, '-Djavax.net.ssl.trustStorePassword=of-a-test']
        : []),
      ...['-cp', `${join(cache, 'java/lib/*')}:${join(cache, 'java/out')}`, 'Driver'],
      ...[join(sources, 'scenarios.json'), connection],
    ],
    env: {},
  }),
};

const go: Driver = {
  language: 'go',
  needs: ['go', 'version'],
  prepare: (sources, cache) => [
    ['go', 'build', '-C', join(sources, 'go'), '-o', join(cache, 'go-driver'), '.'],
  ],
  ways: ['emulator', 'tls'],
  command: ({ sources, cache, connection, ca }) => ({
    command: join(cache, 'go-driver'),
    args: [join(sources, 'scenarios.json'), connection, ...(ca ? [ca] : [])],
    env: ca ? { SSL_CERT_FILE: ca } : {},
  }),
};

export const drivers: readonly Driver[] = [python, java, go];

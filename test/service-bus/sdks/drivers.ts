/** How the scenarios are driven in each language: what it needs, how it is built, how it is run. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Language, Way } from './steps.ts';

export interface Places {
  /** Of the drivers of other languages. */
  sources: string;
  /** Stays from one run to the next. */
  cache: string;
}

export interface Drive extends Places {
  /** A file: what `brief.ts` says. */
  brief: string;
  /** The file of a certificate to trust. */
  ca: string | undefined;
}

type Command = [command: string, ...args: string[]];

export interface Driver {
  language: Language;
  /** The command that shows that the language is there. */
  needs: Command;
  /** Files and folders of which the cache is made. */
  inputs: string[];
  /** Fetches packages. When that fails nothing is said about the broker: the language is left out. */
  fetch(places: Places): Command[];
  build(places: Places): Command[];
  ways: readonly Way[];
  /** Its ways are driven at the same time: it waits more than it works. */
  waits?: true;
  /** By which it is told to trust a certificate, if that is not an argument. */
  trust?(ca: string): Command[];
  command(drive: Drive): { command: Command; env: Record<string, string> };
}

const everyWay = ['emulator', 'tls', 'websockets'] as const;

const python: Driver = {
  language: 'python',
  needs: ['python3', '-m', 'venv', '--help'],
  inputs: ['python/requirements.txt'],
  fetch: ({ sources, cache }) => [
    ['python3', '-m', 'venv', join(cache, 'python')],
    [
      ...([join(cache, 'python/bin/pip'), 'install', '-q', '--disable-pip-version-check'] as const),
      ...['-r', join(sources, 'python/requirements.txt')],
    ],
  ],
  build: () => [],
  ways: everyWay,
  waits: true,
  command: ({ sources, cache, brief, ca }) => ({
    command: [join(cache, 'python/bin/python'), join(sources, 'python/driver.py'), brief],
    env: { PYTHONDONTWRITEBYTECODE: '1', ...(ca ? { REQUESTS_CA_BUNDLE: ca } : {}) },
  }),
};

const java: Driver = {
  language: 'java',
  needs: ['mvn', '--version'],
  inputs: ['java'],
  fetch: ({ sources, cache }) => [
    [
      ...([
        'mvn',
        '-q',
        '-f',
        join(sources, 'java/pom.xml'),
        'dependency:copy-dependencies',
      ] as const),
      `-DoutputDirectory=${join(cache, 'java/lib')}`,
    ],
  ],
  build: ({ sources, cache }) => [
    [
      ...(['javac', '-cp', join(cache, 'java/lib/*'), '-d', join(cache, 'java/out')] as const),
      ...['-sourcepath', join(sources, 'java'), join(sources, 'java/Driver.java')],
    ],
  ],
  ways: everyWay,
  trust: (ca) => [
    [
      ...(['keytool', '-importcert', '-noprompt', '-alias', 'bus', '-file', ca] as const),
      ...['-keystore', `${ca}.jks`, '-storepass', 'of-a-test'],
    ],
  ],
  command: ({ cache, brief, ca }) => ({
    command: [
      // The JVM's own default is to compile for a long life.
      ...(['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'] as const),
      ...(ca
        ? [`-Djavax.net.ssl.trustStore=${ca}.jks`, '-Djavax.net.ssl.trustStorePassword=of-a-test']
        : []),
      ...['-cp', `${join(cache, 'java/lib/*')}:${join(cache, 'java/out')}`, 'Driver', brief],
    ],
    env: {},
  }),
};

const go: Driver = {
  language: 'go',
  needs: ['go', 'version'],
  inputs: ['go'],
  fetch: ({ sources }) => [['go', '-C', join(sources, 'go'), 'mod', 'download']],
  build: ({ sources, cache }) => [
    ['go', 'build', '-C', join(sources, 'go'), '-o', join(cache, 'go-driver'), '.'],
  ],
  ways: everyWay,
  command: ({ cache, brief, ca }) => ({
    command: [join(cache, 'go-driver'), brief],
    env: ca ? { SSL_CERT_FILE: ca } : {},
  }),
};

/** Of this project's own language: built with it. */
const builtHere = (language: 'plain' | 'javascript'): Driver => ({
  language,
  needs: [process.execPath, '--version'],
  inputs: [],
  fetch: () => [],
  build: () => [],
  ways: everyWay,
  command: ({ brief, ca }) => ({
    // Node does not like addresses of numbers in TLS, and says so each time.
    command: [
      process.execPath,
      '--no-deprecation',
      fileURLToPath(new URL(`${language}/main.js`, import.meta.url)),
      brief,
    ],
    env: ca ? { NODE_EXTRA_CA_CERTS: ca } : {},
  }),
});

export const drivers: readonly Driver[] = [
  // rhea, with no SDK above it.
  builtHere('plain'),
  builtHere('javascript'),
  python,
  java,
  go,
];

/** The other ways in and out, which need bus or storage, and keys that storage might read otherwise. */
import { inboxContainer } from 'longhaul/internal/azure/blobs';
import { shownUrl } from 'longhaul/internal/outbound/address';
import { json } from './api.ts';
import { type Check, Skipped, until } from './check.ts';
import { ended, submit } from './jobs.ts';
import { clientsAt } from './site.ts';

const inbox: Check = {
  name: 'inbox',
  question:
    'Does a blob in the inbox start its job? (Event Grid, and its CloudEvents as they really come.)',
  todo: "In Azure: the system topic's subscription inbox-to-queue (its metrics and its dead letters in `undelivered-events`), the identity's Sender role on `inbox`, the function start-from-inbox, dead letters of the queue `inbox`. You yourself need Storage Blob Data Contributor on the container.",
  after: 'job',
  async run(site) {
    const container = clientsAt(site).blobs.getContainerClient(inboxContainer);
    const name = `probe/${site.mark}.json`;
    const mark = `${site.mark}-inbox`;
    const input = JSON.stringify({ mark });
    await container.uploadBlockBlob(name, input, input.length);
    site.later.push(() => container.deleteBlob(name));
    const { id } = await until(site, 'a job of the blob', async () => {
      const { jobs } = (await json(site, '/jobs?type=probe&limit=50')) as {
        jobs: { id: string; result?: { mark?: string } }[];
      };
      return jobs.find(({ result }) => result?.mark === mark);
    });
    return `${inboxContainer}/${name} became job ${id}`;
  },
};

const reply: Check = {
  name: 'reply',
  question: 'Does the outcome come to the reply queue, in the session that was asked for?',
  todo: "The app's identity needs Data Sender on the reply queues; you yourself need Azure Service Bus Data Receiver on `replies-keyed`.",
  after: 'job',
  async run(site) {
    const { serviceBus } = clientsAt(site);
    const queue = site.topology.replies.find((name) => name.endsWith('-keyed'));
    if (!queue) throw new Skipped('topology.json has no reply queue with sessions');
    const to = { replyTo: queue, replyToSessionId: site.mark, correlationId: site.mark };
    const { id } = await submit(site, 'probe', { mark: site.mark }, to);
    const receiver = await serviceBus.acceptSession(queue, site.mark).catch((error: Error) => {
      throw new Error(`${queue}: ${error.message}`);
    });
    try {
      const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: site.patienceMs });
      if (!message) throw new Error(`no reply of job ${id} in ${queue}`);
      await receiver.completeMessage(message);
      if (message.correlationId !== site.mark)
        throw new Error(`it carries ${message.correlationId}, not our correlation id`);
      return `${message.body.type} in session ${site.mark}`;
    } finally {
      await receiver.close();
    }
  },
};

const callback: Check = {
  name: 'callback',
  question: 'Is a callback made, and taken by its receiver?',
  todo: 'Refused at submit: set CALLBACK_SECRETS (callbackSecretsUri) for that host, https only. Not taken: what the receiver answered stands in the error; the apps must reach it from their network.',
  after: 'job',
  async run(site) {
    const { callback: url } = site;
    if (!url) throw new Skipped('give --callback https://… : an address that takes a POST');
    const { id } = await submit(site, 'probe', { mark: site.mark }, { callback: { url } });
    await ended(site, id);
    const made = await until(site, `the callback of job ${id}`, async () => {
      const { jobs } = (await json(site, '/jobs?type=longhaul.callback&limit=50')) as {
        jobs: { id: string }[];
      };
      return jobs.find((job) => job.id.startsWith(`${id}:`));
    });
    const told = await ended(site, made.id);
    return `${shownUrl(url)} answered ${JSON.stringify(told.result)}`;
  },
};

const keys: Check = {
  name: 'keys',
  question:
    'Does table storage give an entity back under the key that it was put under? (Whether it decodes keys twice.)',
  todo: 'Longhaul writes keys with ~ and without %, so only the first is its concern: file an issue with what came back.',
  after: 'alive',
  async run(site) {
    const table = clientsAt(site).table('longhaulnotes');
    const roundTrip = async (text: string) => {
      const [partitionKey, rowKey] = ['doctor', `${site.mark} ${text}`];
      await table.upsertEntity({ partitionKey, rowKey, value: text }, 'Replace');
      site.later.push(() => table.deleteEntity(partitionKey, rowKey));
      const found = await table.getEntity(partitionKey, rowKey).catch(() => undefined);
      return found?.rowKey === rowKey && found['value'] === text;
    };
    const ours = "~2F~25 it's d:2026 ü";
    if (!(await roundTrip(ours)))
      throw new Error(`an entity with ${ours} in its key is not found again`);
    const twice = (await roundTrip('%252F')) ? 'once' : 'twice';
    return `keys with special characters are found again; a % in one is decoded ${twice}`;
  },
};

export const wayChecks: Check[] = [inbox, reply, callback, keys];

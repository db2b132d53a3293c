/** Where an attempt ran, as its record says it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { instanceOf } from '#longhaul/instance.js';
import { readSettings } from '#longhaul/settings.js';

const needed = { ServiceBus: 'Endpoint=sb://localhost', AzureWebJobsStorage: 'main' };
const named = (given: Record<string, string>) =>
  instanceOf(readSettings({ ...needed, HOSTNAME: 'pod-7', ...given }));

test('in Azure the platform names app, deployment and instance', () => {
  const platform = {
    WEBSITE_SITE_NAME: 'orders',
    WEBSITE_DEPLOYMENT_ID: 'd-1',
    WEBSITE_INSTANCE_ID: '0123456789abcdef',
  };
  const instance = `0123456789ab:${process.pid}`;
  assert.deepEqual(named(platform), { app: 'orders', version: 'd-1', instance });
  assert.equal(named({ ...platform, LONGHAUL_VERSION: '7f3' }).version, '7f3', 'a setting wins');
});

test('elsewhere the package and the machine do', () => {
  const { name, version } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
    string,
    string
  >;
  assert.deepEqual(named({}), { app: name, version, instance: `pod-7:${process.pid}` });
});

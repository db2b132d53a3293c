/** Azure Resource Manager and the logs, over plain HTTPS as whoever is logged in (`az login`). */
import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, each read where it is asked for
export type Answer = any;

export interface Arm {
  get(path: string, version: string): Promise<Answer>;
  /** All pages of a list. */
  list(path: string, version: string): Promise<Answer[]>;
  post(path: string, version: string): Promise<Answer>;
  /** Rows of a query of a Log Analytics workspace, named by its customer id. */
  logs(workspace: string, query: string): Promise<Answer[][]>;
}

const management = 'https://management.azure.com';
const logs = 'https://api.loganalytics.io';

export function createArm(credential: TokenCredential = new DefaultAzureCredential()): Arm {
  const call = async (service: string, url: string, method: string, body?: object) => {
    const { token = '' } = (await credential.getToken(`${service}/.default`)) ?? {};
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (response.ok) return text === '' ? {} : (JSON.parse(text) as Answer);
    throw new Error(`${method} ${url} answered ${response.status}: ${text.slice(0, 300)}`);
  };
  const urlOf = (path: string, version: string) =>
    `${management}${path}${path.includes('?') ? '&' : '?'}api-version=${version}`;
  return {
    get: (path, version) => call(management, urlOf(path, version), 'GET'),
    post: (path, version) => call(management, urlOf(path, version), 'POST', {}),
    async list(path, version) {
      const all: Answer[] = [];
      for (let url: string | undefined = urlOf(path, version); url; ) {
        const page: Answer = await call(management, url, 'GET');
        all.push(...page.value);
        url = page.nextLink;
      }
      return all;
    },
    async logs(workspace, query) {
      const answer = await call(logs, `${logs}/v1/workspaces/${workspace}/query`, 'POST', {
        query,
      });
      return answer.tables[0].rows;
    },
  };
}

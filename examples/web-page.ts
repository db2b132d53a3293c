/**
 * A web page as a job, in whatever language it is written: the built-in type `web.call` calls it, tries
 * again when it fails, and runs the further calls that it lists as children. Nothing of this file is
 * part of an app with Longhaul: it stands for a site that knows HTTP only.
 */
import { createServer, type Server } from 'node:http';

/** `/nightly` lists a call for each customer, three at once; `/invoice` does the work of one. */
export function createSite(customers: readonly string[]): { server: Server; invoiced: string[] } {
  const invoiced: string[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams, origin } = new URL(
      request.url ?? '/',
      `http://${request.headers.host}`,
    );
    if (pathname === '/nightly') {
      const calls = customers.map((customer) => ({
        url: `${origin}/invoice?customer=${encodeURIComponent(customer)}`,
        method: 'POST',
      }));
      response
        .writeHead(200, { 'content-type': 'application/vnd.longhaul.calls+json' })
        .end(JSON.stringify({ calls, limit: 3 }));
    } else if (pathname === '/invoice') {
      invoiced.push(searchParams.get('customer') ?? '');
      response.writeHead(204).end();
    } else response.writeHead(404).end();
  });
  return { server, invoiced };
}

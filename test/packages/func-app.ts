/**
 * What `func init --worker-runtime node --language typescript --model V4` and `func new --template "HTTP
 * trigger"` write (Azure/azure-functions-core-tools and -templates, summer of 2026), but for comments.
 */
const manifest = {
  name: '',
  version: '1.0.0',
  description: '',
  main: 'dist/src/{index.js,functions/*.js}',
  scripts: {
    build: 'tsc',
    watch: 'tsc -w',
    clean: 'rimraf dist',
    prestart: 'npm run clean && npm run build',
    start: 'func start',
    test: 'echo "No tests yet..."',
  },
  dependencies: { '@azure/functions': '^4.0.0' },
  devDependencies: { '@types/node': '20.x', typescript: '^5.0.0', rimraf: '^5.0.0' },
};

const tsconfig = {
  compilerOptions: {
    module: 'commonjs',
    target: 'es6',
    outDir: 'dist',
    rootDir: '.',
    sourceMap: true,
    strict: false,
    esModuleInterop: true,
  },
};

const host = {
  version: '2.0',
  logging: {
    applicationInsights: { samplingSettings: { isEnabled: true, excludedTypes: 'Request' } },
  },
  extensionBundle: { id: 'Microsoft.Azure.Functions.ExtensionBundle', version: '[4.*, 5.0.0)' },
};

const settings = {
  IsEncrypted: false,
  Values: { FUNCTIONS_WORKER_RUNTIME: 'node', AzureWebJobsStorage: '' },
};

export const httpTrigger = `import { app, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";

export async function hello(request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> {
    context.log(\`Http function processed request for url "\${request.url}"\`);

    const name = request.query.get('name') || await request.text() || 'world';

    return { body: \`Hello, \${name}!\` };
};

app.http('hello', {
    methods: ['GET', 'POST'],
    authLevel: 'anonymous',
    handler: hello
});
`;

const json = (value: object) => JSON.stringify(value, null, 2);

export const filesOfFunc: Record<string, string> = {
  'package.json': json(manifest),
  'tsconfig.json': json(tsconfig),
  'host.json': json(host),
  'local.settings.json': json(settings),
  '.funcignore': '*.js.map\n*.ts\n.git*\n.vscode\nlocal.settings.json\ntest\n',
  '.gitignore': 'bin\nobj\nlocal.settings.json\nnode_modules\ndist\n',
  'src/index.ts': `import { app } from '@azure/functions';

app.setup({
    enableHttpStream: true,
});
`,
  'src/functions/hello.ts': httpTrigger,
};

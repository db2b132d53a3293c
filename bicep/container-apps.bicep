// The same container on Azure Container Apps, beside what main.bicep made: pass its outputs.
//   az deployment group create -g GROUP -f bicep/container-apps.bicep -p image=...@sha256:... identityName=... ...
targetScope = 'resourceGroup'

param name string = 'longhaul'
param location string = resourceGroup().location
param tags object = {}

@description('The image built by deploy/Dockerfile, in a registry that the identity may pull from: by its digest, NAME.azurecr.io/longhaul@sha256:…')
param image string

@description('Host of an Azure Container Registry, like NAME.azurecr.io.')
param registry string

@description('The identity that main.bicep made.')
param identityName string

@description('The storage account of the host that main.bicep made.')
param hostStorageAccountName string

@description('The storage account of records and files that main.bicep made.')
param storageAccountName string

@description('The Service Bus namespace that main.bicep made, without the domain.')
param namespaceName string

@description('The Log Analytics workspace that main.bicep made.')
param workspaceName string

var topology = loadJsonContent('../topology.json')

// The first answers HTTP and never goes to zero: timers wake nobody. The others scale by their queues.
var apps = [
  { name: 'api', api: true, lanes: ['urgent'], cpu: '1.0', memory: '2Gi', minReplicas: 1, maxReplicas: 10, messages: '64', cooldown: 300, concurrency: 32 }
  { name: 'light', api: false, lanes: ['standard', 'bulk'], cpu: '1.0', memory: '2Gi', minReplicas: 0, maxReplicas: 20, messages: '64', cooldown: 300, concurrency: 32 }
  { name: 'heavy', api: false, lanes: ['heavy'], cpu: '2.0', memory: '4Gi', minReplicas: 0, maxReplicas: 20, messages: '2', cooldown: 7200, concurrency: 2 }
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource hostStorage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageAccountName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource host 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: 'cae-${name}'
  location: location
  tags: tags
  properties: { appLogsConfiguration: { destination: 'azure-monitor' } }
}

// Console logs without the workspace's key.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: host
  properties: {
    workspaceId: workspace.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

resource containers 'Microsoft.App/containerApps@2025-07-01' = [for app in apps: {
  name: 'ca-${name}-${app.name}'
  location: location
  tags: tags
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identity.id}': {} } }
  properties: {
    environmentId: host.id
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: app.api ? { external: true, targetPort: 8080, transport: 'auto', allowInsecure: false } : null
      registries: [{ server: registry, identity: identity.id }]
    }
    template: {
      // The host takes nothing new, and waits for what runs.
      terminationGracePeriodSeconds: 120
      containers: [
        {
          name: 'longhaul'
          image: image
          resources: { cpu: json(app.cpu), memory: app.memory }
          env: [
            { name: 'AzureWebJobsStorage__blobServiceUri', value: hostStorage.properties.primaryEndpoints.blob }
            { name: 'AzureWebJobsStorage__queueServiceUri', value: hostStorage.properties.primaryEndpoints.queue }
            { name: 'AzureWebJobsStorage__tableServiceUri', value: hostStorage.properties.primaryEndpoints.table }
            { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
            { name: 'AzureWebJobsStorage__clientId', value: identity.properties.clientId }
            { name: 'DATA_BLOB_URI', value: storage.properties.primaryEndpoints.blob }
            { name: 'DATA_TABLE_URI', value: storage.properties.primaryEndpoints.table }
            { name: 'ServiceBus__fullyQualifiedNamespace', value: split(replace(namespace.properties.serviceBusEndpoint, 'https://', ''), ':')[0] }
            { name: 'ServiceBus__credential', value: 'managedidentity' }
            { name: 'ServiceBus__clientId', value: identity.properties.clientId }
            // Else each replica takes the name of its machine, with timers and function keys of its own.
            { name: 'AzureFunctionsWebHost__hostid', value: take('longhaul-${app.name}', 32) }
            { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
            { name: 'API', value: app.api ? 'on' : 'off' }
            { name: 'INBOX', value: 'events' }
            { name: 'LANES', value: join(app.lanes, ',') }
            { name: 'JOBS_AT_ONCE', value: app.messages }
            { name: 'AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls', value: string(app.concurrency) }
            { name: 'AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentSessions', value: string(app.concurrency) }
          ]
          probes: [
            { type: 'Liveness', httpGet: { path: '/api/health/live', port: 8080 }, failureThreshold: 6 }
            { type: 'Readiness', httpGet: { path: '/api/health/ready', port: 8080 } }
          ]
        }
      ]
      scale: {
        minReplicas: app.minReplicas
        maxReplicas: app.maxReplicas
        pollingInterval: 15
        cooldownPeriod: app.cooldown
        // messageCount: messages a replica is to have. KEDA counts messages, not sessions: one key with
        // a thousand messages still runs one at a time, so maxReplicas bounds what it can waste.
        rules: map(flatten(map(filter(topology.lanes, lane => contains(app.lanes, lane.name)), lane => [lane.plain, lane.keyed])), queue => {
          name: queue
          custom: {
            type: 'azure-servicebus'
            metadata: {
              queueName: queue
              namespace: namespaceName
              messageCount: app.messages
            }
            identity: identity.id
          }
        })
      }
    }
  }
}]

output apiUrl string = 'https://${containers[0].properties.configuration.ingress.fqdn}/api'

// Everything that Longhaul needs in one resource group. Deploy it again at will: it changes only what differs.
targetScope = 'resourceGroup'

@description('Short name of this installation: part of every resource\'s name.')
@minLength(2)
@maxLength(12)
param name string = 'longhaul'

@description('Azure region. Flex Consumption must be offered there: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

param tags object = {}

// Flex Consumption scales HTTP as one group and every other function on instances of its own: each queue,
// each timer. So the figures are of an instance that does one thing only (docs/capacity.md, Scale).
@description('The Function Apps, all from one package. api: answers HTTP and runs the timers (one app does). lanes: whose jobs it works. alwaysReady: instances kept warm, by scale group: http, or function:NAME. instanceMemoryMB: 512, 2048 or 4096. httpConcurrency: requests at once, open streams and waits among them, before another instance starts.')
param apps array = [
  {
    name: 'api'
    api: true
    lanes: ['urgent', 'standard', 'bulk']
    instanceMemoryMB: 2048
    maximumInstanceCount: 40
    alwaysReady: [{ name: 'http', instanceCount: 1 }]
    httpConcurrency: 100
    maxConcurrentCalls: 32
    maxConcurrentSessions: 32
    jobsAtOnce: 64
  }
  {
    name: 'heavy'
    api: false
    lanes: ['heavy']
    instanceMemoryMB: 4096
    maximumInstanceCount: 40
    alwaysReady: []
    httpConcurrency: 16
    maxConcurrentCalls: 2
    maxConcurrentSessions: 2
    jobsAtOnce: 2
  }
]

@description('Node.js version of the apps.')
@allowed(['22', '24'])
param nodeVersion string = '22'

@description('Premium Service Bus: no shared credits, private endpoints, messages over 256 KB. Cannot be changed in place.')
param premiumServiceBus bool = false

@description('Messaging units for each partition of a Premium namespace.')
@allowed([1, 2, 4, 8, 16])
param messagingUnits int = 1

@description('Partitions of a Premium namespace. Cannot be changed later.')
@allowed([1, 2, 4])
param messagingPartitions int = 1

@description('Keeps storage and Service Bus off the public network: VNet, private endpoints. Needs premiumServiceBus.')
param privateNetwork bool = false

@description('Redundancy of job records and files.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('Files, inputs and results are deleted this many days after their last change. More than the longest `keep` of a job type.')
@minValue(1)
param blobRetentionDays int = 400

@description('Where alerts go. Empty: they show in the portal only.')
param alertEmail string = ''

@description('Job failures above this many percent in 15 minutes raise an alert.')
@minValue(1)
@maxValue(100)
param failureRatePercent int = 5

@description('Log volume a day in GB at which ingestion stops: a bound on the bill.')
param dailyLogQuotaGb int = 5

@description('Key Vault secret with the secret of each receiver of callbacks (CALLBACK_SECRETS: host=whsec_…, host=whsec_…), as https://VAULT.vault.azure.net/secrets/NAME.')
param callbackSecretsUri string = ''

@description('Key Vault secret with one callback secret for all receivers without their own. Empty here and above: no callbacks.')
param callbackSecretUri string = ''

@description('Key Vault secret with headers that web calls of a host get, as JSON (OUTBOUND_HEADERS).')
param outboundHeadersUri string = ''

@description('Names and networks that callbacks and web calls may reach though they are not public, comma-separated.')
param outboundAllow string = ''

@description('Client id of an Entra app registration. Set: every call of the API but the probes must carry a token for it, beside the function key.')
param entraClientId string = ''

@description('Client ids of the applications whose tokens are taken, with entraClientId. None named: only that of the app registration itself.')
param entraAllowedApplications array = []

@description('Logs each read, write and deletion of records and files. It costs about as much as the calls.')
param storageAudit bool = false

var topology = loadJsonContent('../topology.json')
var suffix = uniqueString(resourceGroup().id, name)
var unique = '${name}-${suffix}'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${unique}'
  location: location
  tags: tags
}

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  params: {
    unique: unique
    location: location
    tags: tags
    dailyQuotaGb: dailyLogQuotaGb
    alertEmail: alertEmail
  }
}

module serviceBus 'service-bus.bicep' = {
  name: 'service-bus'
  params: {
    unique: unique
    location: location
    tags: tags
    queues: topology.queues
    premium: premiumServiceBus
    messagingUnits: messagingUnits
    messagingPartitions: messagingPartitions
    private: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module hostStorage 'host-storage.bicep' = {
  name: 'host-storage'
  params: {
    // Storage names take no hyphens and at most 24 characters.
    accountName: take('sh${toLower(replace(name, '-', ''))}${suffix}', 24)
    location: location
    tags: tags
    sku: storageSku
    packageContainers: [for app in apps: 'package-${app.name}']
    private: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  params: {
    accountName: take('st${toLower(replace(name, '-', ''))}${suffix}', 24)
    location: location
    tags: tags
    sku: storageSku
    retentionDays: blobRetentionDays
    private: privateNetwork
    audit: storageAudit
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    unique: unique
    location: location
    tags: tags
    appNames: map(apps, app => app.name)
    hostStorageId: hostStorage.outputs.id
    storageId: storage.outputs.id
    serviceBusId: serviceBus.outputs.id
  }
}

module roles 'roles.bicep' = {
  name: 'roles'
  params: {
    principalId: identity.properties.principalId
    hostStorageAccountName: hostStorage.outputs.name
    storageAccountName: storage.outputs.name
    namespaceName: serviceBus.outputs.name
    componentName: monitoring.outputs.componentName
    workedQueues: union(flatten(map(topology.lanes, lane => [lane.plain, lane.keyed])), [topology.completions, topology.inbox])
    replyQueues: topology.replies
  }
}

module inbox 'inbox.bicep' = {
  name: 'inbox'
  params: {
    unique: unique
    location: location
    tags: tags
    storageAccountName: storage.outputs.name
    namespaceName: serviceBus.outputs.name
    queueName: topology.inbox
    identityId: identity.id
  }
  // Event Grid checks at once whether it may send.
  dependsOn: [roles]
}

module functionApps 'function-app.bicep' = [for (app, index) in apps: {
  name: 'app-${app.name}'
  params: {
    unique: unique
    location: location
    tags: tags
    app: app
    nodeVersion: nodeVersion
    identityName: identity.name
    hostStorageAccountName: hostStorage.outputs.name
    storageAccountName: storage.outputs.name
    serviceBusHost: serviceBus.outputs.host
    insightsConnectionString: monitoring.outputs.connectionString
    workspaceId: monitoring.outputs.workspaceId
    subnetId: privateNetwork ? network!.outputs.appSubnetIds[index] : ''
    entraClientId: entraClientId
    entraAllowedApplications: entraAllowedApplications
    callbackSecretsUri: callbackSecretsUri
    callbackSecretUri: callbackSecretUri
    outboundHeadersUri: outboundHeadersUri
    outboundAllow: outboundAllow
  }
  // An app that starts before its roles are there fails until they are.
  dependsOn: [roles]
}]

module alerts 'alerts.bicep' = {
  name: 'alerts'
  params: {
    unique: unique
    location: location
    tags: tags
    namespaceId: serviceBus.outputs.id
    premium: premiumServiceBus
    workspaceId: monitoring.outputs.workspaceId
    actionGroupIds: monitoring.outputs.actionGroupIds
    failureRatePercent: failureRatePercent
  }
}

module workbook 'workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    namespaceId: serviceBus.outputs.id
  }
}

output apiUrl string = 'https://${functionApps[0].outputs.hostName}/api'
output functionAppNames array = [for (app, index) in apps: functionApps[index].outputs.name]
output serviceBusNamespace string = serviceBus.outputs.host
output storageAccount string = storage.outputs.name
output hostStorageAccount string = hostStorage.outputs.name
output identityClientId string = identity.properties.clientId
output identityPrincipalId string = identity.properties.principalId

// What the apps' identity may do, and why each is the least that works.
param principalId string
param hostStorageAccountName string
param storageAccountName string
param namespaceName string
param componentName string
param workedQueues array
param replyQueues array

// The Functions host keeps its locks, keys and timer state in blobs and sets their properties, the
// deployment reads the package: the documented least for AzureWebJobsStorage. In its own account.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageBlobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var containerRoles = [
  // Inputs, results and files of jobs.
  { container: 'longhaul', id: storageBlobDataContributor }
  // Others write it.
  { container: 'inbox', id: storageBlobDataReader }
  // Event Grid keeps there, as this identity, what it cannot deliver.
  { container: 'undelivered-events', id: storageBlobDataContributor }
]
// Job records, tombstones, notes, schedules: rows, in tables that Bicep makes.
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var tables = ['longhauljobs', 'longhaultombstones', 'longhaulnotes', 'longhaulschedules']
// Receiving and sending would take less. But the platform scales by queue length, which it reads with
// this identity and which needs Manage: with Receiver alone it falls back to slow, stepwise scaling.
var serviceBusDataOwner = '090c5cfd-751d-490a-894a-3ce6f1109419'
// Replies are only sent.
var serviceBusDataSender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
// Logs and metrics, as the component takes no instrumentation key.
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource hostAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: hostStorageAccountName
}

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = [for role in containerRoles: {
  parent: blobs
  name: role.container
}]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource storedTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' existing = [for table in tables: {
  parent: tableService
  name: table
}]

resource namespace 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {
  name: namespaceName
}

resource worked 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = [for queue in workedQueues: {
  parent: namespace
  name: queue
}]

resource replies 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' existing = [for queue in replyQueues: {
  parent: namespace
  name: queue
}]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource onHostStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hostAccount.id, principalId, storageBlobDataOwner)
  scope: hostAccount
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource onContainers 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (role, index) in containerRoles: {
  name: guid(account.id, role.container, principalId, role.id)
  scope: containers[index]
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.id)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}]

resource onTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (table, index) in tables: {
  name: guid(account.id, table, principalId, storageTableDataContributor)
  scope: storedTables[index]
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}]

resource onWorkedQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (queue, index) in workedQueues: {
  name: guid(namespace.id, queue, principalId, serviceBusDataOwner)
  scope: worked[index]
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', serviceBusDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}]

resource onReplyQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (queue, index) in replyQueues: {
  name: guid(namespace.id, queue, principalId, serviceBusDataSender)
  scope: replies[index]
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', serviceBusDataSender)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}]

resource onComponent 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(component.id, principalId, monitoringMetricsPublisher)
  scope: component
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

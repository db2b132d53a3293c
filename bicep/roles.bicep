// What the apps' identity may do, and why each is the least that works.
param principalId string
param storageAccountName string
param namespaceName string
param componentName string
param workedQueues array
param replyQueues array

var storageRoles = [
  // The Functions host keeps its locks, keys and timer state in blobs and sets their properties, the
  // deployment reads the package, jobs write files: the documented least for AzureWebJobsStorage.
  { name: 'Storage Blob Data Owner', id: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' }
  // Job records, schedules, notes.
  { name: 'Storage Table Data Contributor', id: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' }
]
// Receiving and sending would take less. But the platform scales by queue length, which it reads with
// this identity and which needs Manage: with Receiver alone it falls back to slow, stepwise scaling.
var serviceBusDataOwner = '090c5cfd-751d-490a-894a-3ce6f1109419'
// Replies are only sent.
var serviceBusDataSender = '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39'
// Logs and metrics, as the component takes no instrumentation key.
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

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

resource onStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in storageRoles: {
  name: guid(account.id, principalId, role.id)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.id)
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
